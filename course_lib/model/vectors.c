/* How a matrix is stored, and how vectors are laid out for it.

   Numbers are not loaded one by one, but LANES words of them at once; shifts leave number k of each
   word in its lane. The vectors are rearranged once to match: the k-th numbers of LANES words are
   adjacent.

   Numbers are widened to float32, in words of 32 bits. Codes are widened to integers of 16 bits, in
   words of 16, since processors multiply and add pairs of these in one instruction. Vectors become
   integers of 16 bits too: each span of a vector is a multiple of its own step, which is the
   largest number in it over 32767. That is 250 times as fine as a code of 8 bits.

   The vector types are extensions of GCC and Clang, which compile them to the instructions of the
   processor at hand. Words are little-endian. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

enum { LANES = 8, OUTPUTS = 8, VECTORS = 4, SUMS = 4, SPAN = 128, SMALL = 1 << 15 };
enum { MANY = 128 }; /* vectors that are laid out at once, few enough for the cache of a core */
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
#define UNROLLED _Pragma("GCC unroll 16")

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

/* Places for vectors of a matrix, in memory of `room` bytes that is aligned for `lanes`. */
static vectors places(const matrix *m, int64_t count, void *memory)
{
    int64_t span = m->group < SPAN ? m->group : SPAN, codes = m->kind == INT8 || m->kind == INT4;
    while (m->group % span) span /= 2;
    int64_t spans = m->inputs / span, groups = m->inputs / m->group;
    float *totals = memory, *steps = totals + (codes ? aligned(count * groups) : 0);
    float *numbers = steps + (codes ? aligned(count * spans) : 0);
    return (vectors){numbers, steps, totals, count, m->inputs, span};
}

/* Lay vector v out for a matrix. */
static void lay(const matrix *m, const float *x, int64_t v, const vectors *to)
{
    int per = per_word(m->kind);
    float *numbers = (float *)to->numbers + v * m->inputs, *totals, *steps;
    if (m->kind == FLOAT32 || m->kind == BFLOAT16) {
        for (int64_t i = 0; i < m->inputs; i += LANES * per)
            for (int k = 0; k < per; k++)
                for (int lane = 0; lane < LANES; lane++) *numbers++ = x[i + lane * per + k];
        return;
    }
    int16_t *whole = (int16_t *)to->numbers + v * m->inputs;
    steps = to->steps + v * (m->inputs / to->span), totals = to->totals + v * (m->inputs / m->group);
    for (int64_t i = 0; i < m->inputs; i += to->span, whole += to->span, steps++) {
        *steps = whole_numbers(x + i, to->span, per, whole);
        int32_t total = 0;
        for (int64_t n = 0; n < to->span; n++) total += whole[n];
        if (i % m->group == 0) totals[i / m->group] = 0;
        totals[i / m->group] += total * *steps;
    }
}

static vectors arrange(const matrix *m, const float *x, int64_t count, void *memory)
{
    vectors found = places(m, count, memory);
    for (int64_t v = 0; v < count; v++) lay(m, x + v * m->inputs, v, &found);
    return found;
}
