#include "cli/feed_faults.h"

#include "runtime/base/ensure.h"

struct feed_faults {
    feed_faults_options_t options;
    uint64_t pushed;
    feed_link_t **ring; /* [key % (reorder + 1)]: a stack */
};

typedef enum purpose {
    PURPOSE_DROP,
    PURPOSE_DUPLICATE,
    PURPOSE_REORDER,
    PURPOSE_COUNT,
} purpose_t;

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection that mixes all bits. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* One random number per seed, row and purpose, without a state that would tie them together. */
static uint64_t draw(const feed_faults_t *self, uint64_t number, purpose_t purpose)
{
    uint64_t place = number * PURPOSE_COUNT + purpose + 1;
    return mix(mix(self->options.seed + 0x9e3779b97f4a7c15u) + place * 0x9e3779b97f4a7c15u);
}

static bool happens(uint64_t drawn, double share)
{
    return (double)(drawn >> 11) * 0x1p-53 < share;
}

void feed_queue_push(feed_queue_t *self, feed_link_t *link)
{
    link->next = NULL;
    if (self->last) {
        self->last->next = link;
    } else {
        self->first = link;
    }
    self->last = link;
    self->count++;
}

feed_link_t *feed_queue_pop(feed_queue_t *self)
{
    feed_link_t *link = self->first;
    if (link) {
        self->first = link->next;
        self->last = self->first ? self->last : NULL;
        self->count--;
    }
    return link;
}

feed_faults_t *feed_faults_new(const feed_faults_options_t *options)
{
    feed_faults_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->options = *options;
    self->ring = calloc(options->reorder + 1, sizeof *self->ring);
    ENSURE(self->ring);
    return self;
}

void feed_faults_destroy(feed_faults_t **self_p)
{
    feed_faults_t *self = *self_p;
    if (self) {
        free(self->ring);
        free(self);
        *self_p = NULL;
    }
}

feed_fate_t feed_faults_decide(const feed_faults_t *self, uint64_t number)
{
    return (feed_fate_t){
        .drop = happens(draw(self, number, PURPOSE_DROP), self->options.drop),
        .duplicate = happens(draw(self, number, PURPOSE_DUPLICATE), self->options.duplicate),
    };
}

static void empty_stack(feed_link_t **stack, feed_queue_t *out)
{
    while (*stack) {
        feed_link_t *link = *stack;
        *stack = link->next;
        feed_queue_push(out, link);
    }
}

void feed_faults_push(feed_faults_t *self, feed_link_t *link, feed_queue_t *out)
{
    uint64_t size = self->options.reorder + 1;
    uint64_t number = self->pushed++;
    uint64_t key = number + draw(self, number, PURPOSE_REORDER) % size;
    link->next = self->ring[key % size];
    self->ring[key % size] = link;
    /* No later row can get the key `number` or a smaller one. */
    empty_stack(&self->ring[number % size], out);
}

void feed_faults_flush(feed_faults_t *self, feed_queue_t *out)
{
    uint64_t size = self->options.reorder + 1;
    for (uint64_t i = 0; i < size; i++) {
        empty_stack(&self->ring[(self->pushed + i) % size], out);
    }
}
