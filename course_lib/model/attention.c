/* What the heads of a layer read for the newest token, and the vectors that they do it with. */

#include "products.c"
#include <math.h>

enum { QUERIES = 2 }; /* that share a head of keys and values, and read it together */
enum { PARTS = 16 }; /* times LANES features of a value are read at once: all of a usual head */

typedef struct {
    matrix q, k, v, o, gate, up, down;
    const void *q_bias, *k_bias, *v_bias, *o_bias; /* or null */
    const void *input_norm, *mlp_norm, *q_norm, *k_norm; /* the last two or null */
    float input_eps, mlp_eps, q_eps, k_eps, scale;
    int32_t half; /* stream, norms, biases and cache: bfloat16 if 1, float32 if 0 */
    int32_t neighbours; /* features that RoPE rotates together: 2i, 2i + 1 if 1, else halves */
    int64_t heads, groups, width; /* of queries, of keys and values, of one head */
} layer;

typedef struct {
    const void *x; /* (texts, C): the stream */
    void *y; /* (texts, C): the stream after this layer */
    void *keys, *values; /* (texts, groups, capacity, width); place `seen` is written */
    const float *cos, *sin; /* (texts, width / 2) */
    const uint8_t *mask; /* (texts, seen + 1), 0 where nothing may be read; or null */
    int64_t texts, capacity, seen;
} step;

typedef struct {
    int64_t index, of; /* which thread, and how many there are */
    float *normed, *scores;
    void *memory; /* for rearranged vectors */
} thread;

typedef uint16_t narrow __attribute__((vector_size(2 * LANES)));

INLINE lanes load(const void *from, int64_t place, int half)
{
    lanes wide;
    narrow stored;
    if (!half) memcpy(&wide, (const float *)from + place, sizeof wide);
    if (half) {
        memcpy(&stored, (const uint16_t *)from + place, sizeof stored);
        wide = (lanes)(__builtin_convertvector(stored, words) << 16);
    }
    return wide;
}

INLINE void store(lanes x, void *to, int64_t place, int half) /* rounded to nearest, ties to even */
{
    if (!half) memcpy((float *)to + place, &x, sizeof x);
    if (half) {
        words bits = (words)x, nan = (words)(x != x);
        bits = ((bits + 0x7fff + (bits >> 16 & 1)) & ~nan) | (nan & 0x7fc00000u);
        narrow stored = __builtin_convertvector(bits >> 16, narrow);
        memcpy((uint16_t *)to + place, &stored, sizeof stored);
    }
}

/* y = x / root mean square of x * weight; y may be x */
static void norm(const void *x, int x_half, const void *weight, int half, float eps, int64_t width,
                 float *y)
{
    lanes squares = {0};
    for (int64_t i = 0; i < width; i += LANES) {
        lanes part = load(x, i, x_half);
        squares += part * part;
    }
    float inverse = 1 / sqrtf(sum(squares) / width + eps);
    for (int64_t i = 0; i < width; i += LANES)
        store(load(x, i, x_half) * inverse * load(weight, i, half), y, i, 0);
}

INLINE void rotate(float *a, float *b, float cos, float sin)
{
    float before = *a;
    *a = before * cos - *b * sin;
    *b = *b * cos + before * sin;
}

/* Normalise a head, if there is a norm, and rotate its pairs of features. */
static void prepare(float *head, const void *weight, float eps, const layer *l, const float *cos,
                    const float *sin)
{
    int64_t middle = l->width / 2;
    if (weight) norm(head, 0, weight, l->half, eps, l->width, head);
    if (l->neighbours)
        for (int64_t i = 0; i < middle; i++) rotate(head + 2 * i, head + 2 * i + 1, cos[i], sin[i]);
    else
        for (int64_t i = 0; i < middle; i++) rotate(head + i, head + middle + i, cos[i], sin[i]);
}

/* e to the power of each number, to one unit in the last place or two; 0 below -87, inf above 88.

   x = n ln 2 + r, so that exp(x) = 2^n exp(r), and a short series is enough for exp(r). */
INLINE lanes exponential(lanes x)
{
    static const float series[] = {1 / 5040.f, 1 / 720.f, 1 / 120.f, 1 / 24.f, 1 / 6.f, .5f, 1, 1};
    lanes shifted = x * 1.44269504f + 12582912.f; /* 1.5 * 2^23: its last bit is worth 1 */
    lanes n = shifted - 12582912.f, value = {0};
    lanes r = x - n * .693145752f - n * 1.42860677e-6f; /* the first product is exact */
    UNROLLED for (int i = 0; i < 8; i++) value = value * r + series[i];
    words power = ((words)shifted << 23) + (127u << 23), small = (words)(x < -87);
    words large = (words)(x > 88);
    words bits = (words)(value * (lanes)power) & ~small & ~large;
    return (lanes)(bits | (large & 0x7f800000u));
}

/* The scores of `count` queries for each key; those of a query begin at r * stride. */
INLINE void score(const layer *l, const float *q, const void *keys, const uint8_t *mask,
                  int64_t tokens, float *scores, int64_t stride, int half, int count)
{
    int64_t width = l->width;
    for (int64_t s = 0; s < tokens; s++) {
        lanes sums[QUERIES][2] = {{{0}}};
        int64_t i = 0;
        for (; i + 2 * LANES <= width; i += 2 * LANES)
            UNROLLED for (int n = 0; n < 2; n++) {
                lanes key = load(keys, s * width + i + n * LANES, half);
                UNROLLED for (int r = 0; r < count; r++)
                    sums[r][n] += load(q, r * width + i + n * LANES, 0) * key;
            }
        for (; i < width; i += LANES)
            UNROLLED for (int r = 0; r < count; r++)
                sums[r][0] += load(q, r * width + i, 0) * load(keys, s * width + i, half);
        UNROLLED for (int r = 0; r < count; r++)
            scores[r * stride + s] =
                mask && !mask[s] ? -INFINITY : l->scale * sum(sums[r][0] + sums[r][1]);
    }
}

/* Scores become weights: their softmax. Where nothing may be read, all weights are 0. */
static void soften(float *scores, int64_t tokens, int64_t stride)
{
    float largest = -INFINITY;
    lanes totals = {0};
    for (int64_t s = 0; s < tokens; s++) largest = scores[s] > largest ? scores[s] : largest;
    if (largest == -INFINITY) largest = 0;
    for (int64_t s = tokens; s < stride; s++) scores[s] = -INFINITY;
    for (int64_t s = 0; s < stride; s += LANES) {
        lanes part = exponential(load(scores, s, 0) - largest);
        totals += part;
        store(part, scores, s, 0);
    }
    float total = sum(totals), inverse = total > 0 ? 1 / total : 0;
    for (int64_t s = 0; s < stride; s += LANES) store(load(scores, s, 0) * inverse, scores, s, 0);
}

/* `parts` times LANES features of the means of the values, for `count` queries. */
INLINE void mean(const float *weights, int64_t stride, const void *values, int64_t tokens,
                 int64_t width, int64_t place, float *read, int half, int parts, int count)
{
    lanes sums[QUERIES][PARTS] = {{{0}}};
    for (int64_t s = 0; s < tokens; s++)
        UNROLLED for (int n = 0; n < parts; n++) {
            lanes value = load(values, s * width + place + n * LANES, half);
            UNROLLED for (int r = 0; r < count; r++) sums[r][n] += weights[r * stride + s] * value;
        }
    UNROLLED for (int r = 0; r < count; r++)
        UNROLLED for (int n = 0; n < parts; n++)
            store(sums[r][n], read, r * width + place + n * LANES, 0);
}

/* What `count` queries read: the values, averaged with the softmax of their scores. */
INLINE void read_values(const layer *l, const float *q, const void *keys, const void *values,
                        const uint8_t *mask, int64_t tokens, float *scores, float *read, int half,
                        int count)
{
    int64_t width = l->width, place = 0, stride = (tokens + LANES - 1) / LANES * LANES;
    score(l, q, keys, mask, tokens, scores, stride, half, count);
    for (int r = 0; r < count; r++) soften(scores + r * stride, tokens, stride);
    for (; place + PARTS * LANES <= width; place += PARTS * LANES)
        mean(scores, stride, values, tokens, width, place, read, half, PARTS, count);
    for (; place + PARTS / 2 * LANES <= width; place += PARTS / 2 * LANES)
        mean(scores, stride, values, tokens, width, place, read, half, PARTS / 2, count);
    for (; place < width; place += LANES)
        mean(scores, stride, values, tokens, width, place, read, half, 1, count);
}

/* Write a head of keys and values to the cache, and let the queries that share it read. */
static void attend(const layer *l, const step *now, int64_t text, int64_t group, float *qkv,
                   float *read, float *scores)
{
    int64_t shared = l->heads / l->groups, width = l->width, tokens = now->seen + 1;
    int64_t begin = (text * l->groups + group) * now->capacity * width * (l->half ? 2 : 4);
    char *keys = (char *)now->keys + begin, *values = (char *)now->values + begin;
    const uint8_t *mask = now->mask ? now->mask + text * tokens : 0;
    const float *cos = now->cos + text * width / 2, *sin = now->sin + text * width / 2;
    float *own = qkv + text * (l->heads + 2 * l->groups) * width, *q = own + group * shared * width;
    float *k = own + (l->heads + group) * width, *v = k + l->groups * width;
    prepare(k, l->k_norm, l->k_eps, l, cos, sin);
    for (int64_t i = 0; i < width; i += LANES) {
        store(load(k, i, 0), keys, now->seen * width + i, l->half);
        store(load(v, i, 0), values, now->seen * width + i, l->half);
    }
    float *to = read + (text * l->heads + group * shared) * width;
    for (int64_t r = 0; r < shared; r++) prepare(q + r * width, l->q_norm, l->q_eps, l, cos, sin);
    for (int64_t r = 0, count; r < shared; r += count) {
        count = shared - r < QUERIES ? 1 : QUERIES;
        if (l->half && count > 1)
            read_values(l, q + r * width, keys, values, mask, tokens, scores, to + r * width, 1, 2);
        else if (l->half)
            read_values(l, q + r * width, keys, values, mask, tokens, scores, to + r * width, 1, 1);
        else if (count > 1)
            read_values(l, q + r * width, keys, values, mask, tokens, scores, to + r * width, 0, 2);
        else
            read_values(l, q + r * width, keys, values, mask, tokens, scores, to + r * width, 0, 1);
    }
}
