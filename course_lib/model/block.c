/* A layer of a decoder, for the newest token of each of a few texts.

   x = x + attention(norm(x)) @ o.T;   x = x + (silu(norm(x) @ gate.T) * (norm(x) @ up.T)) @ down.T

   The products take most of the time, but between them stand some forty small steps, and starting
   one from Python takes longer than computing it. Here threads start once for a layer. Each takes
   a share of the rows of every matrix, and a share of the heads; they wait for one another where
   one reads what the others have computed. All arithmetic is in float32. */

#include "products.c"
#include <math.h>
#include <omp.h>

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

/* The rows of a matrix that are this thread's, from `first` to the returned end. */
static int64_t share(int64_t count, int64_t at_once, const thread *t, int64_t *first)
{
    int64_t parts = (count + at_once - 1) / at_once, end = parts * (t->index + 1) / t->of * at_once;
    *first = parts * t->index / t->of * at_once;
    return end < count ? end : count;
}

/* This thread's rows of x @ m.T + bias; the results of a text begin at y + text * stride. */
static void project(const matrix *m, const void *bias, int half, const vectors *x, const thread *t,
                    float *y, int64_t stride)
{
    int64_t first, end = share(m->outputs, OUTPUTS, t, &first);
    rows(m, x, first, end, y, stride);
    for (int64_t text = 0; bias && text < x->count; text++)
        for (int64_t o = first; o < end; o++) {
            uint32_t bits = half ? (uint32_t)((const uint16_t *)bias)[o] << 16 : 0;
            float added = half ? 0 : ((const float *)bias)[o];
            if (half) memcpy(&added, &bits, sizeof added);
            y[text * stride + o] += added;
        }
}

/* The normalised vectors, laid out for a matrix; again only where `before` had another layout. */
static void lay_out(vectors *x, const matrix *m, const matrix *before, int64_t texts,
                    const thread *t)
{
    if (!before || m->kind != before->kind || m->group != before->group)
        *x = arrange(m, t->normed, texts, t->memory);
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

INLINE float dot(const float *q, const void *keys, int64_t place, int64_t width, int half)
{
    lanes sums = {0};
    for (int64_t i = 0; i < width; i += LANES) sums += load(q, i, 0) * load(keys, place + i, half);
    return sum(sums);
}

/* `count` times LANES features of the mean of the values. */
INLINE void mean(const float *weights, const void *values, int64_t tokens, int64_t width,
                 int half, float *read, int count)
{
    lanes sums[4] = {{0}};
    for (int64_t s = 0; s < tokens; s++)
        UNROLLED for (int c = 0; c < count; c++)
            sums[c] += weights[s] * load(values, s * width + c * LANES, half);
    UNROLLED for (int c = 0; c < count; c++) store(sums[c], read, c * LANES, 0);
}

/* What one query reads: the values, averaged with the softmax of its scores. */
INLINE void read_values(const layer *l, const float *q, const void *keys, const void *values,
                        const uint8_t *mask, int64_t tokens, float *scores, float *read, int half)
{
    int64_t width = l->width, place = 0;
    float largest = -INFINITY, total = 0;
    for (int64_t s = 0; s < tokens; s++) {
        scores[s] = mask && !mask[s] ? -INFINITY : l->scale * dot(q, keys, s * width, width, half);
        largest = scores[s] > largest ? scores[s] : largest;
    }
    if (largest == -INFINITY) largest = 0; /* nothing may be read: all weights are 0 */
    for (int64_t s = 0; s < tokens; s++) total += scores[s] = expf(scores[s] - largest);
    for (int64_t s = 0; s < tokens; s++) scores[s] *= total > 0 ? 1 / total : 0;
    for (; place + 4 * LANES <= width; place += 4 * LANES)
        mean(scores, (const char *)values + place * (half ? 2 : 4), tokens, width, half,
             read + place, 4);
    for (; place < width; place += LANES)
        mean(scores, (const char *)values + place * (half ? 2 : 4), tokens, width, half,
             read + place, 1);
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
    for (int64_t r = 0; r < shared; r++) {
        float *head = q + r * width, *to = read + ((text * l->heads) + group * shared + r) * width;
        prepare(head, l->q_norm, l->q_eps, l, cos, sin);
        if (l->half)
            read_values(l, head, keys, values, mask, tokens, scores, to, 1);
        else
            read_values(l, head, keys, values, mask, tokens, scores, to, 0);
    }
}

/* The first half of a layer, up to what its heads have read. */
static void attention(const layer *l, const step *now, const thread *t, float *qkv, float *read)
{
    int64_t inputs = l->q.inputs, stride = (l->heads + 2 * l->groups) * l->width, first;
    for (int64_t text = 0; text < now->texts; text++)
        norm((const char *)now->x + text * inputs * (l->half ? 2 : 4), l->half, l->input_norm,
             l->half, l->input_eps, inputs, t->normed + text * inputs);
    vectors x;
    lay_out(&x, &l->q, 0, now->texts, t);
    project(&l->q, l->q_bias, l->half, &x, t, qkv, stride);
    lay_out(&x, &l->k, &l->q, now->texts, t);
    project(&l->k, l->k_bias, l->half, &x, t, qkv + l->q.outputs, stride);
    lay_out(&x, &l->v, &l->k, now->texts, t);
    project(&l->v, l->v_bias, l->half, &x, t, qkv + l->q.outputs + l->k.outputs, stride);
    _Pragma("omp barrier")
    int64_t end = share(now->texts * l->groups, 1, t, &first);
    for (; first < end; first++)
        attend(l, now, first / l->groups, first % l->groups, qkv, read, t->scores);
}

/* This thread's features of the stream: what was there, plus a product. */
static void add_product(const matrix *m, const void *bias, const layer *l, const float *x,
                        const void *before, int before_half, int64_t texts, const thread *t,
                        float *products, void *y, int y_half)
{
    int64_t first, end = share(m->outputs, LANES, t, &first), width = m->outputs;
    vectors arranged = arrange(m, x, texts, t->memory);
    rows(m, &arranged, first, end, products, width);
    for (int64_t text = 0; text < texts; text++)
        for (int64_t o = first; o < end; o += LANES) {
            lanes own = load(products, text * width + o, 0);
            if (bias) own += load(bias, o, l->half);
            store(load(before, text * width + o, before_half) + own, y, text * width + o, y_half);
        }
}

/* The second half of a layer; `x` is the stream before it. */
static void feed_forward(const layer *l, const step *now, const thread *t, float *x, float *gate,
                         float *up, float *products)
{
    int64_t inputs = l->gate.inputs, width = l->gate.outputs, first;
    for (int64_t text = 0; text < now->texts; text++)
        norm(x + text * inputs, 0, l->mlp_norm, l->half, l->mlp_eps, inputs,
             t->normed + text * inputs);
    vectors laid;
    lay_out(&laid, &l->gate, 0, now->texts, t);
    project(&l->gate, 0, 0, &laid, t, gate, width);
    lay_out(&laid, &l->up, &l->gate, now->texts, t);
    project(&l->up, 0, 0, &laid, t, up, width);
    int64_t end = share(width, OUTPUTS, t, &first);
    for (int64_t text = 0; text < now->texts; text++)
        for (int64_t i = text * width + first; i < text * width + end; i++)
            gate[i] *= up[i] / (1 + expf(-gate[i]));
    _Pragma("omp barrier")
    add_product(&l->down, 0, l, gate, x, 0, now->texts, t, products, now->y, l->half);
}

/* The whole layer. Returns 0, or 1 if there was no memory. */
static int block(const layer *l, const step *now, int threads)
{
    int64_t texts = now->texts, inputs = l->q.inputs, width = l->gate.outputs;
    int64_t heads = l->heads * l->width, all = heads + 2 * l->groups * l->width;
    int64_t widest = inputs > width ? inputs : width;
    if (heads > widest) widest = heads;
    int64_t both = texts * (2 * inputs + all + heads + 2 * width), scores = now->seen / 16 * 16 + 16;
    int64_t own = 4 * (texts * inputs + scores) + room(texts, widest);
    own = (own + 63) / 64 * 64, both = (4 * both + 63) / 64 * 64;
    char *memory = aligned_alloc(64, both + threads * own);
    if (!memory) return 1;
    float *x = (float *)memory, *products = x + texts * inputs, *qkv = products + texts * inputs;
    float *read = qkv + texts * all, *gate = read + texts * heads, *up = gate + texts * width;
    _Pragma("omp parallel num_threads(threads)")
    {
        thread t = {omp_get_thread_num(), omp_get_num_threads(), 0, 0, 0};
        t.memory = memory + both + t.index * own;
        t.normed = (float *)((char *)t.memory + room(texts, widest));
        t.scores = t.normed + texts * inputs;
        attention(l, now, &t, qkv, read);
        _Pragma("omp barrier")
        add_product(&l->o, l->o_bias, l, read, now->x, l->half, texts, &t, products, x, 0);
        _Pragma("omp barrier")
        feed_forward(l, now, &t, x, gate, up, products);
    }
    free(memory);
    return 0;
}

/* Some layers, each reading what the one before it wrote; they have their own keys and values. */
int blocks(const layer *const *layers, const step *first, void *const *keys, void *const *values,
           int64_t count, int threads)
{
    step now = *first;
    for (int64_t i = 0; i < count; i++) {
        now.keys = keys[i], now.values = values[i];
        if (block(layers[i], &now, threads)) return 1;
        now.x = now.y; /* no thread writes y before all have read x */
    }
    return 0;
}
