/* A layer of a decoder, for the newest token of each of a few texts.

   x = x + attention(norm(x)) @ o.T;   x = x + (silu(norm(x) @ gate.T) * (norm(x) @ up.T)) @ down.T

   The products take most of the time, but between them stand some forty small steps, and starting
   one from Python takes longer than computing it. Here threads start once for a layer. Each takes
   a share of the rows of every matrix, and a share of the heads; they wait for one another where
   one reads what the others have computed. All arithmetic is in float32. */

#include "attention.c"
#include <omp.h>

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
        for (int64_t i = text * width + first; i < text * width + end; i += LANES) {
            lanes own = load(gate, i, 0);
            store(own * load(up, i, 0) / (1 + exponential(-own)), gate, i, 0);
        }
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
    int64_t own = 4 * (texts * inputs + QUERIES * scores) + room(texts, widest);
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
