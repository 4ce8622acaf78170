/* Products of a few vectors with a matrix, as it is stored: numbers of 32 or 16 bits, or codes of 8
   or 4 bits.

   y[v][o] = sum over i of w[o][i] * x[v][i]      w, for codes: scale[o][g] * code + shift[o][g]

   Such a product should take as long as its matrix takes to arrive from memory, so little may be
   computed for a number. `vectors.c` says how numbers and codes are widened. The sums stay in
   registers; there are two ways to compute them:

   tiles   Four rows times four vectors: each widened number is multiplied by several vectors, each
           number of a vector by several rows.
   lines   One row times one vector. The matrix is read from its first byte to its last, and a
           processor that sees such a stream fetches what comes next while it computes. From eight
           rows at a time it fetched half as much. */

#include "vectors.c"

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
    int64_t within = m->group / x->span;
    for (int64_t s = 0, group = 0, left = within; s < spans; s++) {
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
            float scale = m->scale[(o + r) * groups + group];
            UNROLLED for (int v = 0; v < count; v++) {
                lanes exact = __builtin_convertvector(own[r][v], lanes);
                sums[r][v] += exact * (scale * x->steps[(v0 + v) * spans + s]);
            }
        }
        if (--left == 0) group++, left = within;
    }
    UNROLLED for (int r = 0; r < outputs; r++)
        UNROLLED for (int v = 0; v < count; v++) {
            float shifted = kind == INT4 ? shifts(m, o + r, x, v0 + v) : 0;
            y[(v0 + v) * stride + o + r] = sum(sums[r][v]) + shifted;
        }
}

/* Lines: row o times vector v. There are several sums, since adding to one has to wait for the last
   addition. */

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
    for (int64_t i = 0; i < span / per; i += 2 * LANES) {
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
    for (int64_t g = s / within; s < spans; g++) /* a division takes as long as a span */
        for (int64_t end = s + within; s < end; s++)
            sums[0] += span_line(w + s * words, numbers + s * span, span, kind)
                           * (scale[g] * steps[s]);
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
    int usual = kind == INT4 ? 64 : SPAN; /* known while compiling, so that its loops are unrolled */
    if (x->span == usual) return code_line(m, kind, o, x, v, usual);
    return code_line(m, kind, o, x, v, x->span);
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

/* The whole product. Returns 0, or 1 if there was no memory for the rearranged vectors. */
int product(const matrix *m, const float *x, float *y, int64_t count, int threads)
{
    int64_t block = count < MANY ? count : MANY;
    void *memory = aligned_alloc(4 * LANES, room(block, m->inputs));
    if (!memory) return 1;
    for (int64_t v = 0; v < count; v += block) {
        vectors now = places(m, count - v < block ? count - v : block, memory);
        _Pragma("omp parallel num_threads(threads) if (m->outputs * m->inputs > SMALL)")
        {
            _Pragma("omp for") for (int64_t n = 0; n < now.count; n++)
                lay(m, x + (v + n) * m->inputs, n, &now);
            _Pragma("omp for") for (int64_t o = 0; o < m->outputs; o += OUTPUTS) {
                int64_t end = o + OUTPUTS < m->outputs ? o + OUTPUTS : m->outputs;
                rows(m, &now, o, end, y + v * m->outputs, m->outputs);
            }
        }
    }
    free(memory);
    return 0;
}

/* Whether this processor multiplies and adds pairs of integers in one instruction: then codes are
   faster than floats even for many vectors. */
int adds_pairs(void)
{
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return 1;
#else
    return 0;
#endif
}

/* Write rows `first` to `end` of a matrix of codes as floats, from y on. */
void unpack(const matrix *m, int64_t first, int64_t end, float *y, int threads)
{
    int64_t groups = m->inputs / m->group, group = m->group;
    _Pragma("omp parallel for num_threads(threads) if ((end - first) * m->inputs > SMALL)")
    for (int64_t g = first * groups; g < end * groups; g++) {
        float scale = m->scale[g], shift = m->kind == INT4 ? m->shift[g] : 0;
        float *to = y + (g - first * groups) * group;
        if (m->kind == INT8)
            for (int64_t i = 0; i < group; i++) to[i] = scale * ((const int8_t *)m->w)[g * group + i];
        else
            for (int64_t i = 0; i < group / 2; i++) {
                uint8_t two = ((const uint8_t *)m->w)[g * group / 2 + i];
                to[2 * i] = scale * (two >> 4) + shift;
                to[2 * i + 1] = scale * (two & 15) + shift;
            }
    }
}
