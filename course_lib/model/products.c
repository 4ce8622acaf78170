/* Products of a few vectors with a matrix, as it is stored: numbers of 32 or 16 bits, or codes of 8
   or 4 bits.

   y[v][o] = sum over i of w[o][i] * x[v][i]      w, for codes: scale[o][g] * code + shift[o][g]

   Such a product should take as long as its matrix takes to arrive from memory, so little may be
   computed for a number. Numbers are not loaded one by one, but LANES words of them at once; shifts
   leave number k of each word in its lane. The vectors are rearranged once to match: the k-th
   numbers of LANES words are adjacent.

   Numbers are widened to float32, in words of 32 bits. Codes are widened to integers of 16 bits, in
   words of 16, since processors multiply and add pairs of these in one instruction. Vectors become
   integers of 16 bits too: each SPAN of a vector is a multiple of its own step, which is the
   largest number in it over 32767. That is 250 times as fine as a code of 8 bits.

   Each widened number is multiplied by several vectors, each number of a vector by several rows,
   and the sums stay in registers. The vector types are extensions of GCC and Clang, which compile
   them to the instructions of the processor at hand. Words are little-endian. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

enum { LANES = 8, OUTPUTS = 8, VECTORS = 4, SPAN = 128, SMALL = 1 << 15 };
enum { AHEAD = 1 << 14 }; /* bytes between what is multiplied and what is asked of memory */
enum { FLOAT32, BFLOAT16, INT8, INT4 };

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t integers __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(4 * LANES)));
typedef int16_t signed_halves __attribute__((vector_size(4 * LANES)));

typedef struct {
    const void *w; /* (outputs, inputs), packed */
    const float *scale, *shift; /* (outputs, groups); for codes of 8 bits (outputs) and null */
    int64_t outputs, inputs, group;
    int32_t kind;
} matrix;

typedef struct {
    void *numbers; /* (count, inputs), float32 or int16, rearranged for a kind of matrix */
    float *steps; /* (count, spans) */
    lanes *totals; /* (count, spans): sums of the rounded numbers, in any lane */
    int64_t count, inputs, span;
} vectors;

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 8")

INLINE int per_word(int kind) /* numbers in a word of 32 bits, or codes in one of 16 */
{
    return kind == FLOAT32 ? 1 : kind == INT4 ? 4 : 2;
}

INLINE lanes number(words word, int k, int kind) /* a bfloat16 is the upper half of a float32 */
{
    return (lanes)(kind == FLOAT32 ? word : k == 0 ? word << 16 : word & 0xffff0000u);
}

INLINE halves code(halves word, int k, int kind) /* the first of two in a byte is its upper half */
{
    if (kind == INT4) return word >> (4 * (k ^ 1)) & 15;
    return (halves)((signed_halves)(k == 0 ? word << 8 : word) >> 8);
}

/* sum + the products of both halves of each lane */
INLINE integers add_pairs(integers sum, halves w, halves x)
{
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return (integers)_mm256_dpwssd_epi32((__m256i)sum, (__m256i)w, (__m256i)x);
#elif defined(__AVX2__)
    return sum + (integers)_mm256_madd_epi16((__m256i)w, (__m256i)x);
#else
    integers a = (integers)w, b = (integers)x;
    return sum + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
}

INLINE float sum(lanes x)
{
    UNROLLED for (int half = LANES / 2; half > 0; half /= 2)
        UNROLLED for (int lane = 0; lane < half; lane++) x[lane] += x[lane + half];
    return x[0];
}

/* The products of `outputs` rows of numbers, from row o on, with `count` vectors. Kind and both
   counts are constants wherever this is used, so that the loops over them are unrolled. */
INLINE void number_tile(const matrix *m, int kind, int64_t o, const vectors *x, int64_t v0,
                        float *y, int64_t stride, int outputs, int count)
{
    int per = per_word(kind);
    int64_t row = m->inputs / per;
    const uint32_t *w = (const uint32_t *)m->w + o * row;
    const float *numbers = (const float *)x->numbers + v0 * m->inputs;
    lanes sums[OUTPUTS][VECTORS] = {{{0}}};
    for (int64_t i = 0; i < row; i += LANES) {
        words word[OUTPUTS];
        UNROLLED for (int r = 0; r < outputs; r++) {
            memcpy(&word[r], w + r * row + i, sizeof word[r]);
            __builtin_prefetch((const char *)(w + r * row + i) + AHEAD);
        }
        UNROLLED for (int k = 0; k < per; k++) {
            lanes wide[OUTPUTS], part;
            UNROLLED for (int r = 0; r < outputs; r++) wide[r] = number(word[r], k, kind);
            UNROLLED for (int v = 0; v < count; v++) {
                memcpy(&part, numbers + v * m->inputs + i * per + k * LANES, sizeof part);
                UNROLLED for (int r = 0; r < outputs; r++) sums[r][v] += wide[r] * part;
            }
        }
    }
    UNROLLED for (int r = 0; r < outputs; r++)
        UNROLLED for (int v = 0; v < count; v++) y[(v0 + v) * stride + o + r] = sum(sums[r][v]);
}

/* The same with rows of codes. */
INLINE void code_tile(const matrix *m, int kind, int64_t o, const vectors *x, int64_t v0, float *y,
                      int64_t stride, int outputs, int count)
{
    int per = per_word(kind);
    int64_t row = m->inputs / per, spans = m->inputs / x->span, groups = m->inputs / m->group;
    const uint16_t *w = (const uint16_t *)m->w + o * row;
    const int16_t *numbers = (const int16_t *)x->numbers + v0 * m->inputs;
    lanes sums[OUTPUTS][VECTORS] = {{{0}}};
    for (int64_t s = 0; s < spans; s++) {
        integers own[OUTPUTS][VECTORS] = {{{0}}};
        for (int64_t i = s * x->span / per; i < (s + 1) * x->span / per; i += 2 * LANES) {
            halves word[OUTPUTS];
            UNROLLED for (int r = 0; r < outputs; r++) {
                memcpy(&word[r], w + r * row + i, sizeof word[r]);
                __builtin_prefetch((const char *)(w + r * row + i) + AHEAD);
            }
            UNROLLED for (int k = 0; k < per; k++) {
                halves wide[OUTPUTS], part;
                UNROLLED for (int r = 0; r < outputs; r++) wide[r] = code(word[r], k, kind);
                UNROLLED for (int v = 0; v < count; v++) {
                    memcpy(&part, numbers + v * m->inputs + i * per + k * 2 * LANES, sizeof part);
                    UNROLLED for (int r = 0; r < outputs; r++)
                        own[r][v] = add_pairs(own[r][v], wide[r], part);
                }
            }
        }
        UNROLLED for (int r = 0; r < outputs; r++) {
            int64_t place = kind == INT4 ? (o + r) * groups + s * x->span / m->group : 0;
            float scale = kind == INT4 ? m->scale[place] : 1;
            UNROLLED for (int v = 0; v < count; v++) {
                int64_t own_span = (v0 + v) * spans + s;
                lanes exact = __builtin_convertvector(own[r][v], lanes);
                sums[r][v] += exact * (scale * x->steps[own_span]);
                if (kind == INT4) sums[r][v] += x->totals[own_span] * m->shift[place];
            }
        }
    }
    UNROLLED for (int r = 0; r < outputs; r++) {
        float scale = kind == INT4 ? 1 : m->scale[o + r];
        UNROLLED for (int v = 0; v < count; v++)
            y[(v0 + v) * stride + o + r] = sum(sums[r][v]) * scale;
    }
}

INLINE void tile(const matrix *m, int kind, int64_t o, const vectors *x, int64_t v, float *y,
                 int64_t stride, int outputs, int count)
{
    if (kind == INT8 || kind == INT4)
        code_tile(m, kind, o, x, v, y, stride, outputs, count);
    else
        number_tile(m, kind, o, x, v, y, stride, outputs, count);
}

/* Some rows, in tiles of 4 rows by 4 vectors; vectors left over, in tiles of 8 rows by 1. */
INLINE void kind_rows(const matrix *m, int kind, const vectors *x, int64_t first, int64_t end,
                      float *y, int64_t stride)
{
    for (int64_t o; first < end; first = o) {
        int64_t v = 0, until = first + OUTPUTS < end ? first + OUTPUTS : end;
        for (; v + VECTORS <= x->count; v += VECTORS) {
            for (o = first; o + 4 <= until; o += 4) tile(m, kind, o, x, v, y, stride, 4, VECTORS);
            for (; o < until; o++) tile(m, kind, o, x, v, y, stride, 1, VECTORS);
        }
        for (; v < x->count; v++) {
            if (first + OUTPUTS == until)
                tile(m, kind, first, x, v, y, stride, OUTPUTS, 1);
            else
                for (o = first; o < until; o++) tile(m, kind, o, x, v, y, stride, 1, 1);
        }
        o = until;
    }
}

/* The products of rows `first` to `end`; those of vector v begin at y + v * stride. */
static void rows(const matrix *m, const vectors *x, int64_t first, int64_t end, float *y,
                 int64_t stride)
{
    if (m->kind == FLOAT32) kind_rows(m, FLOAT32, x, first, end, y, stride);
    if (m->kind == BFLOAT16) kind_rows(m, BFLOAT16, x, first, end, y, stride);
    if (m->kind == INT8) kind_rows(m, INT8, x, first, end, y, stride);
    if (m->kind == INT4) kind_rows(m, INT4, x, first, end, y, stride);
}

/* Write a span as integers, rearranged, and return its step: nan if not all numbers are finite. */
static float whole_numbers(const float *x, int64_t span, int per, int16_t *numbers)
{
    int32_t bits, largest = 0, infinite = 0x7f800000;
    for (int64_t i = 0; i < span; i++) { /* without signs, floats are in the order of their bits */
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    float most, step;
    memcpy(&most, &largest, sizeof most);
    step = most / 32767;
    memset(numbers, 0, sizeof *numbers * span);
    if (largest >= infinite) return __builtin_nanf("");
    if (step < 1e-37f) return 0; /* its inverse would be infinite */
    float inverse = 1 / step;
    int16_t plain[SPAN];
    for (int64_t i = 0; i < span; i++)
        plain[i] = (int16_t)(int32_t)(x[i] * inverse + (x[i] > 0 ? 0.5f : -0.5f));
    for (int64_t i = 0; i < span; i += 2 * LANES * per)
        for (int k = 0; k < per; k++)
            for (int lane = 0; lane < 2 * LANES; lane++) *numbers++ = plain[i + lane * per + k];
    return step;
}

/* Bytes that `arrange` needs, a multiple of those of `lanes`. */
static size_t room(int64_t count, int64_t inputs)
{
    int64_t spans = inputs / 32 + 1, whole = 4 * LANES;
    int64_t steps = (4 * count * spans + whole - 1) / whole * whole;
    int64_t numbers = (4 * count * inputs + whole - 1) / whole * whole;
    return numbers + steps + whole * count * spans;
}

/* Lay vectors out for a matrix, in memory of `room` bytes that is aligned for `lanes`. */
static vectors arrange(const matrix *m, const float *x, int64_t count, void *memory)
{
    int64_t span = m->group < SPAN ? m->group : SPAN;
    int per = per_word(m->kind), codes = m->kind == INT8 || m->kind == INT4;
    while (m->group % span) span /= 2;
    int64_t spans = codes ? m->inputs / span : 0, all = count * m->inputs;
    lanes *totals = memory;
    float *steps = (float *)(totals + count * spans);
    float *numbers = steps + (count * spans + LANES - 1) / LANES * LANES;
    vectors found = {numbers, steps, totals, count, m->inputs, span};
    if (!codes) {
        for (int64_t i = 0; i < all; i += LANES * per)
            for (int k = 0; k < per; k++)
                for (int lane = 0; lane < LANES; lane++) *numbers++ = x[i + lane * per + k];
        return found;
    }
    for (int64_t s = 0; s < count * spans; s++) {
        int16_t *own = (int16_t *)found.numbers + s * span;
        steps[s] = whole_numbers(x + s * span, span, per, own);
        integers total = {0};
        for (int64_t i = 0; i < span; i += 2 * LANES) {
            halves part;
            memcpy(&part, own + i, sizeof part);
            total = add_pairs(total, (halves){0} + 1, part);
        }
        totals[s] = __builtin_convertvector(total, lanes) * steps[s];
    }
    return found;
}

/* The whole product. Returns 0, or 1 if there was no memory for the rearranged vectors. */
int product(const matrix *m, const float *x, float *y, int64_t count, int threads)
{
    void *memory = aligned_alloc(4 * LANES, room(count, m->inputs));
    if (!memory) return 1;
    vectors arranged = arrange(m, x, count, memory);
    _Pragma("omp parallel for num_threads(threads) if (m->outputs * m->inputs > SMALL)")
    for (int64_t first = 0; first < m->outputs; first += OUTPUTS) {
        int64_t end = first + OUTPUTS < m->outputs ? first + OUTPUTS : m->outputs;
        rows(m, &arranged, first, end, y, m->outputs);
    }
    free(memory);
    return 0;
}
