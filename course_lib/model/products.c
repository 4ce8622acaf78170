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

enum { LANES = 8, OUTPUTS = 8, VECTORS = 4, SUMS = 4, SPAN = 128, SMALL = 1 << 15 };
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
    float *totals; /* (count, groups): sums of the rounded numbers */
    int64_t count, inputs, span;
} vectors;

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 8")

#ifndef PREFETCH
#define PREFETCH __builtin_prefetch
#endif
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

/* Tiles: `outputs` rows, from row o on, times `count` vectors. Kind and both counts are constants
   wherever these are used, so that the loops over them are unrolled. */

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

/* The sum of the shifts of row o, each times the sum of the numbers that it is added for. */
INLINE float shifts(const matrix *m, int64_t o, const vectors *x, int64_t v)
{
    int64_t groups = m->inputs / m->group, g = 0;
    const float *shift = m->shift + o * groups, *totals = x->totals + v * groups;
    lanes a, b, sums = {0};
    for (; g + LANES <= groups; g += LANES) {
        memcpy(&a, shift + g, sizeof a);
        memcpy(&b, totals + g, sizeof b);
        sums += a * b;
    }
    float total = sum(sums);
    for (; g < groups; g++) total += shift[g] * totals[g];
    return total;
}

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
        int64_t group = s * x->span / m->group;
        UNROLLED for (int r = 0; r < outputs; r++) {
            float scale = m->scale[(o + r) * groups + group];
            UNROLLED for (int v = 0; v < count; v++) {
                lanes exact = __builtin_convertvector(own[r][v], lanes);
                sums[r][v] += exact * (scale * x->steps[(v0 + v) * spans + s]);
            }
        }
    }
    UNROLLED for (int r = 0; r < outputs; r++)
        UNROLLED for (int v = 0; v < count; v++) {
            float shifted = kind == INT4 ? shifts(m, o + r, x, v0 + v) : 0;
            y[(v0 + v) * stride + o + r] = sum(sums[r][v]) + shifted;
        }
}

/* Lines: a single row times a single vector. Rows are read one after the other then, from the first
   byte to the last: a processor that sees such a stream fetches what comes next while it computes.
   From several rows at a time it fetches half as much. There are several sums, since adding to one
   has to wait for the last addition. */

INLINE float number_line(const matrix *m, int kind, int64_t o, const vectors *x, int64_t v)
{
    int per = per_word(kind);
    int64_t row = m->inputs / per, i = 0;
    const uint32_t *w = (const uint32_t *)m->w + o * row;
    const float *numbers = (const float *)x->numbers + v * m->inputs;
    words word;
    lanes part, sums[SUMS] = {{0}};
    for (; i + SUMS * LANES <= row; i += SUMS * LANES) {
        UNROLLED for (int n = 0; n < SUMS; n++) {
            memcpy(&word, w + i + n * LANES, sizeof word);
            if (n % 2 == 0) PREFETCH((const char *)(w + i + n * LANES) + AHEAD);
            UNROLLED for (int k = 0; k < per; k++) {
                memcpy(&part, numbers + (i + n * LANES) * per + k * LANES, sizeof part);
                sums[n] += number(word, k, kind) * part;
            }
        }
    }
    for (; i < row; i += LANES) {
        memcpy(&word, w + i, sizeof word);
        UNROLLED for (int k = 0; k < per; k++) {
            memcpy(&part, numbers + i * per + k * LANES, sizeof part);
            sums[k] += number(word, k, kind) * part;
        }
    }
    UNROLLED for (int half = SUMS / 2; half > 0; half /= 2)
        UNROLLED for (int n = 0; n < half; n++) sums[n] += sums[n + half];
    return sum(sums[0]);
}

/* The exact sum of a span's products, in any lane. */
INLINE lanes span_line(const uint16_t *w, const int16_t *x, int64_t span, int kind)
{
    int per = per_word(kind);
    integers own[2] = {{0}};
    UNROLLED for (int64_t i = 0; i < span / per; i += 2 * LANES) {
        halves word, part;
        memcpy(&word, w + i, sizeof word);
        UNROLLED for (int k = 0; k < per; k++) {
            memcpy(&part, x + i * per + k * 2 * LANES, sizeof part);
            own[k % 2] = add_pairs(own[k % 2], code(word, k, kind), part);
        }
    }
    return __builtin_convertvector(own[0] + own[1], lanes);
}

INLINE float code_line(const matrix *m, int kind, int64_t o, const vectors *x, int64_t v,
                       int64_t span)
{
    int64_t words = span / per_word(kind), spans = m->inputs / span, s = 0;
    int64_t groups = m->inputs / m->group, within = m->group / span;
    const uint16_t *w = (const uint16_t *)m->w + o * spans * words;
    const int16_t *numbers = (const int16_t *)x->numbers + v * m->inputs;
    const float *scale = m->scale + o * groups, *steps = x->steps + v * spans;
    lanes sums[2] = {{0}}, own, each;
    float factors[LANES];
    for (; kind == INT4 && within == 1 && s + LANES <= spans; s += LANES) {
        memcpy(&own, scale + s, sizeof own);
        memcpy(&each, steps + s, sizeof each);
        own *= each;
        memcpy(factors, &own, sizeof factors);
        UNROLLED for (int n = 0; n < LANES; n++)
            sums[n % 2] += span_line(w + (s + n) * words, numbers + (s + n) * span, span, kind)
                           * factors[n];
    }
    for (; s < spans; s++)
        sums[0] += span_line(w + s * words, numbers + s * span, span, kind)
                   * (scale[s / within] * steps[s]);
    return sum(sums[0] + sums[1]) + (kind == INT4 ? shifts(m, o, x, v) : 0);
}

INLINE void tile(const matrix *m, int kind, int64_t o, const vectors *x, int64_t v, float *y,
                 int64_t stride, int outputs, int count)
{
    if (kind == INT8 || kind == INT4)
        code_tile(m, kind, o, x, v, y, stride, outputs, count);
    else
        number_tile(m, kind, o, x, v, y, stride, outputs, count);
}

INLINE float line(const matrix *m, int kind, int64_t o, const vectors *x, int64_t v)
{
    int codes = kind == INT8 || kind == INT4;
    if (!codes) return number_line(m, kind, o, x, v);
    if (x->span == 64) return code_line(m, kind, o, x, v, 64);
    return x->span == SPAN ? code_line(m, kind, o, x, v, SPAN) : code_line(m, kind, o, x, v, x->span);
}

/* Some rows: tiles of 4 rows by 4 vectors; vectors left over, in lines. */
INLINE void kind_rows(const matrix *m, int kind, const vectors *x, int64_t first, int64_t end,
                      float *y, int64_t stride)
{
    for (int64_t o; first < end; first = o) {
        int64_t v = 0, until = first + OUTPUTS < end ? first + OUTPUTS : end;
        for (; v + VECTORS <= x->count; v += VECTORS) {
            for (o = first; o + 4 <= until; o += 4) tile(m, kind, o, x, v, y, stride, 4, VECTORS);
            for (; o < until; o++) tile(m, kind, o, x, v, y, stride, 1, VECTORS);
        }
        for (o = first; o < until; o++)
            for (int64_t left = v; left < x->count; left++)
                y[left * stride + o] = line(m, kind, o, x, left);
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

/* A number of floats that fills whole `lanes`, so that what follows them is aligned. */
INLINE int64_t aligned(int64_t count)
{
    return (count + LANES - 1) / LANES * LANES;
}

/* Bytes that `arrange` needs: numbers, and for each span or group of them a step and a total. */
static size_t room(int64_t count, int64_t inputs)
{
    int64_t spans = inputs / 32 + 1;
    return 4 * (aligned(count * inputs) + 2 * aligned(count * spans));
}

/* Lay vectors out for a matrix, in memory of `room` bytes that is aligned for `lanes`. */
static vectors arrange(const matrix *m, const float *x, int64_t count, void *memory)
{
    int64_t span = m->group < SPAN ? m->group : SPAN;
    int per = per_word(m->kind), codes = m->kind == INT8 || m->kind == INT4;
    while (m->group % span) span /= 2;
    int64_t spans = count * m->inputs / span, groups = count * m->inputs / m->group;
    float *totals = memory, *steps = totals + (codes ? aligned(groups) : 0);
    float *numbers = steps + (codes ? aligned(spans) : 0);
    vectors found = {numbers, steps, totals, count, m->inputs, span};
    for (int64_t i = 0; !codes && i < count * m->inputs; i += LANES * per)
        for (int k = 0; k < per; k++)
            for (int lane = 0; lane < LANES; lane++) *numbers++ = x[i + lane * per + k];
    for (int64_t g = 0; codes && g < groups; g++) totals[g] = 0;
    for (int64_t s = 0; codes && s < spans; s++) {
        int16_t *own = (int16_t *)numbers + s * span;
        steps[s] = whole_numbers(x + s * span, span, per, own);
        int32_t total = 0;
        for (int64_t i = 0; i < span; i++) total += own[i];
        totals[s * span / m->group] += total * steps[s];
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
