/* Products of a few vectors with a matrix of small numbers, which are widened in registers.

   y[v][o] = sum over groups of a row of  scale[o][g] * (sum of w[o][i] * x[v][i])
                                          + shift[o][g] * (sum of x[v][i])

   w: bfloat16, signed codes of 8 bits, or codes of 4 bits;  x, y, all sums: float32.

   Where widening and multiplying a number costs less than loading it, such a product takes as long
   as its matrix takes to arrive from memory. So numbers are not loaded one by one: a word of 32
   bits holds 2, 4 or 8 of them, LANES words are loaded at once, and shifts leave number k of each
   word in its lane. The vectors are rearranged once to match: the k-th numbers of LANES words are
   adjacent. Each widened number is multiplied by several vectors, each number of a vector by
   several rows, and the sums stay in registers. The vector types are extensions of GCC and Clang,
   which compile them to the instructions of the processor at hand. Words are little-endian. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 8, OUTPUTS = 4, VECTORS = 4, SMALL = 1 << 15 };

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t integers __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));

typedef struct {
    const uint32_t *w; /* (outputs, inputs / numbers in a word) */
    const float *scale, *shift; /* (outputs, groups), or null: 1 and 0 */
    int64_t outputs, inputs, group;
} matrix;

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 8")

INLINE lanes bfloat16(words word, int k) /* the upper half of a float32 */
{
    return (lanes)(k == 0 ? word << 16 : word & 0xffff0000u);
}

INLINE lanes int8(words word, int k)
{
    return __builtin_convertvector((integers)(word << (24 - 8 * k)) >> 24, lanes);
}

INLINE lanes int4(words word, int k) /* the first code of a byte is its upper half */
{
    return __builtin_convertvector((integers)(word >> (4 * (k ^ 1)) & 15u), lanes);
}

INLINE float sum(lanes x)
{
    float total = 0;
    for (int lane = 0; lane < LANES; lane++) total += x[lane];
    return total;
}

/* The products of `outputs` rows, from row o on, with `vectors` vectors. Both counts are constants
   wherever this is used, so that the loops over them are unrolled. */
#define TILE(kind, number, per)                                                                    \
    INLINE void kind##_tile(const matrix *m, int64_t o, const float *x, const float *totals,       \
                            float *y, int outputs, int vectors)                                    \
    {                                                                                              \
        int64_t groups = m->inputs / m->group, row = m->inputs / per;                              \
        lanes sums[OUTPUTS][VECTORS] = {{{0}}};                                                    \
        float shifts[OUTPUTS][VECTORS] = {{0}};                                                    \
        for (int64_t g = 0; g < groups; g++) {                                                     \
            lanes own[OUTPUTS][VECTORS] = {{{0}}};                                                 \
            for (int64_t i = g * m->group; i < (g + 1) * m->group; i += LANES * per) {             \
                words word[OUTPUTS];                                                               \
                UNROLLED for (int r = 0; r < outputs; r++) {                                       \
                    const uint32_t *place = m->w + (o + r) * row + i / per;                        \
                    memcpy(&word[r], place, sizeof word[r]);                                       \
                    __builtin_prefetch(place + outputs * row); /* of the next tile */              \
                }                                                                                  \
                UNROLLED for (int k = 0; k < per; k++) {                                           \
                    lanes wide[OUTPUTS], part;                                                     \
                    UNROLLED for (int r = 0; r < outputs; r++) wide[r] = number(word[r], k);       \
                    UNROLLED for (int v = 0; v < vectors; v++) {                                   \
                        memcpy(&part, x + v * m->inputs + i + k * LANES, sizeof part);             \
                        UNROLLED for (int r = 0; r < outputs; r++) own[r][v] += wide[r] * part;    \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
            UNROLLED for (int r = 0; r < outputs; r++)                                             \
                UNROLLED for (int v = 0; v < vectors; v++) {                                       \
                    int64_t place = (o + r) * groups + g;                                          \
                    sums[r][v] += own[r][v] * (m->scale ? m->scale[place] : 1);                    \
                    if (m->shift) shifts[r][v] += m->shift[place] * totals[v * groups + g];        \
                }                                                                                  \
        }                                                                                          \
        UNROLLED for (int r = 0; r < outputs; r++)                                                 \
            UNROLLED for (int v = 0; v < vectors; v++)                                             \
                y[v * m->outputs + o + r] = sum(sums[r][v]) + shifts[r][v];                        \
    }

/* Put the numbers of the vectors in the order of the words of a row, and sum them by groups. */
static void arrange(const matrix *m, const float *x, int64_t vectors, int per, float *arranged,
                    float *totals)
{
    for (int64_t i = 0; i < vectors * m->inputs; i += LANES * per)
        for (int k = 0; k < per; k++)
            for (int lane = 0; lane < LANES; lane++) *arranged++ = x[i + lane * per + k];
    for (int64_t i = 0; i < vectors * m->inputs; i += m->group) {
        *totals = 0;
        for (int64_t j = 0; j < m->group; j++) *totals += x[i + j];
        totals++;
    }
}

/* The whole product, in tiles of 2 rows by 4 vectors; the vectors left over, in tiles of 4 rows by
   1. Returns 0, or 1 if there was no memory for the rearranged vectors. */
#define PRODUCT(kind, per)                                                                         \
    int kind##_product(const uint32_t *w, const float *scale, const float *shift, const float *x,  \
                       float *y, int64_t outputs, int64_t inputs, int64_t group, int64_t vectors,  \
                       int threads)                                                                \
    {                                                                                              \
        matrix whole = {w, scale, shift, outputs, inputs, group}, *m = &whole;                     \
        int64_t groups = inputs / group;                                                           \
        float *arranged = malloc(sizeof(float) * vectors * (inputs + groups)), *totals;            \
        if (!arranged) return 1;                                                                   \
        totals = arranged + vectors * inputs;                                                      \
        arrange(m, x, vectors, per, arranged, totals);                                             \
        _Pragma("omp parallel for num_threads(threads) if (outputs * inputs > SMALL)")             \
        for (int64_t first = 0; first < outputs; first += OUTPUTS) {                               \
            int64_t v = 0, end = first + OUTPUTS < outputs ? first + OUTPUTS : outputs;            \
            while (v < vectors) {                                                                  \
                const float *own = arranged + v * inputs, *its = totals + v * groups;              \
                float *place = y + v * outputs;                                                    \
                int several = v + VECTORS <= vectors;                                              \
                int64_t o = first;                                                                 \
                if (several)                                                                       \
                    for (; o + 2 <= end; o += 2)                                                   \
                        kind##_tile(m, o, own, its, place, 2, VECTORS);                            \
                else if (o + OUTPUTS <= end) {                                                     \
                    kind##_tile(m, o, own, its, place, OUTPUTS, 1);                                \
                    o += OUTPUTS;                                                                  \
                }                                                                                  \
                for (; o < end; o++)                                                               \
                    if (several)                                                                   \
                        kind##_tile(m, o, own, its, place, 1, VECTORS);                            \
                    else                                                                           \
                        kind##_tile(m, o, own, its, place, 1, 1);                                  \
                v += several ? VECTORS : 1;                                                        \
            }                                                                                      \
        }                                                                                          \
        free(arranged);                                                                            \
        return 0;                                                                                  \
    }

TILE(bfloat16, bfloat16, 2)
TILE(int8, int8, 4)
TILE(int4, int4, 8)
PRODUCT(bfloat16, 2)
PRODUCT(int8, 4)
PRODUCT(int4, 8)
