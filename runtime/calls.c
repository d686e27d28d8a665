#include "runtime/calls.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

enum {
    CAPACITY_FIRST = 64,
    FORGET_US = 1000000, /* see make_room */
};

void calls_init(calls_t *self, timers_t *timers)
{
    *self = (calls_t){
        .timers = timers,
        .ask_free = CALLS_NONE,
        .request_free = CALLS_NONE,
        .cancelled_head = CALLS_NONE,
        .cancelled_tail = CALLS_NONE,
    };
}

void calls_fini(calls_t *self)
{
    free(self->asks);
    free(self->requests);
    free(self->buckets);
    calls_init(self, self->timers);
}

void party_init(party_t *self, void *owner)
{
    *self = (party_t){.owner = owner, .asks = CALLS_NONE, .requests = CALLS_NONE};
}

/* --- asks ------------------------------------------------------------------------------------ */

static uint64_t number_of(const calls_t *self, uint32_t index)
{
    return (uint64_t)self->asks[index].generation << 32 | (index + 1);
}

static void grow_asks(calls_t *self)
{
    uint32_t capacity = self->ask_capacity > 0 ? self->ask_capacity * 2 : CAPACITY_FIRST;
    ENSURE(capacity > self->ask_capacity);
    self->asks = realloc(self->asks, capacity * sizeof *self->asks);
    ENSURE(self->asks);
    for (uint32_t i = capacity; i > self->ask_capacity; i--) {
        self->asks[i - 1] = (ask_t){.next = self->ask_free};
        self->ask_free = i - 1;
    }
    self->ask_capacity = capacity;
}

static void link_child(calls_t *self, uint32_t index, uint32_t request)
{
    ask_t *ask = &self->asks[index];
    ask->request = request;
    ask->previous_child = ask->next_child = CALLS_NONE;
    if (request == CALLS_NONE) {
        return;
    }
    ask->next_child = self->requests[request].children;
    if (ask->next_child != CALLS_NONE) {
        self->asks[ask->next_child].previous_child = index;
    }
    self->requests[request].children = index;
}

static void unlink_child(calls_t *self, const ask_t *ask)
{
    if (ask->request == CALLS_NONE) {
        return;
    }
    if (ask->previous_child != CALLS_NONE) {
        self->asks[ask->previous_child].next_child = ask->next_child;
    } else {
        self->requests[ask->request].children = ask->next_child;
    }
    if (ask->next_child != CALLS_NONE) {
        self->asks[ask->next_child].previous_child = ask->previous_child;
    }
}

uint64_t calls_ask(calls_t *self, party_t *party, const ask_terms_t *terms)
{
    if (self->ask_free == CALLS_NONE) {
        grow_asks(self);
    }
    uint32_t index = self->ask_free;
    ask_t *ask = &self->asks[index];
    self->ask_free = ask->next;
    ask->generation++;
    ask->party = party;
    ask->waiter = terms->waiter;
    ask->target = terms->target;
    ask->pending = true;
    ask->previous = CALLS_NONE;
    ask->next = party->asks;
    if (ask->next != CALLS_NONE) {
        self->asks[ask->next].previous = index;
    }
    party->asks = index;
    link_child(self, index, terms->request);
    uint64_t correlation = number_of(self, index);
    ask->timer =
        timers_start(self->timers, terms->deadline_us, NULL, (void *)(uintptr_t)correlation);
    return correlation;
}

const ask_t *calls_find(const calls_t *self, uint64_t correlation)
{
    uint32_t index = (uint32_t)correlation - 1;
    if ((uint32_t)correlation == 0 || index >= self->ask_capacity) {
        return NULL;
    }
    const ask_t *ask = &self->asks[index];
    return ask->pending && ask->generation == correlation >> 32 ? ask : NULL;
}

bool calls_end(calls_t *self, uint64_t correlation, ask_t *ret_ask)
{
    if (!calls_find(self, correlation)) {
        return false;
    }
    uint32_t index = (uint32_t)correlation - 1;
    ask_t *ask = &self->asks[index];
    timers_cancel(self->timers, ask->timer);
    if (ask->previous != CALLS_NONE) {
        self->asks[ask->previous].next = ask->next;
    } else {
        ask->party->asks = ask->next;
    }
    if (ask->next != CALLS_NONE) {
        self->asks[ask->next].previous = ask->previous;
    }
    unlink_child(self, ask);
    *ret_ask = *ask;
    ask->pending = false;
    ask->next = self->ask_free;
    self->ask_free = index;
    return true;
}

uint64_t calls_ask_of(const calls_t *self, const party_t *party)
{
    return party->asks != CALLS_NONE ? number_of(self, party->asks) : 0;
}

uint64_t calls_child_of(const calls_t *self, uint32_t request)
{
    uint32_t child = self->requests[request].children;
    return child != CALLS_NONE ? number_of(self, child) : 0;
}

/* --- requests -------------------------------------------------------------------------------- */

/* Keys are references and numbers of the node's own, so that nobody can choose ones that collide;
 * the multiplication spreads what differs in few bits (Knuth, TAOCP 6.4). */
static uint32_t bucket_of(const calls_t *self, capstan_ref_t sender, uint64_t correlation)
{
    uint64_t hash = correlation * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= ((uint64_t)sender.slot << 32 | sender.generation) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ sender.node) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32) & (self->request_capacity - 1);
}

static uint32_t bucket_of_request(const calls_t *self, const request_t *request)
{
    return bucket_of(self, request->sender, request->correlation);
}

static void unlink_found(calls_t *self, uint32_t index)
{
    uint32_t *link = &self->buckets[bucket_of_request(self, &self->requests[index])];
    while (*link != index) {
        link = &self->requests[*link].next_found;
    }
    *link = self->requests[index].next_found;
}

static void link_found(calls_t *self, uint32_t index)
{
    uint32_t *bucket = &self->buckets[bucket_of_request(self, &self->requests[index])];
    self->requests[index].next_found = *bucket;
    *bucket = index;
}

static bool is_found(const request_t *request)
{
    return request->state != REQUEST_FREE && request->state != REQUEST_TOLD;
}

static void grow_requests(calls_t *self)
{
    uint32_t old = self->request_capacity;
    uint32_t capacity = old > 0 ? old * 2 : CAPACITY_FIRST;
    ENSURE(capacity > old);
    self->requests = realloc(self->requests, capacity * sizeof *self->requests);
    self->buckets = realloc(self->buckets, capacity * sizeof *self->buckets);
    ENSURE(self->requests && self->buckets);
    memset(self->buckets, 0xff, capacity * sizeof *self->buckets);
    self->request_capacity = capacity;
    for (uint32_t i = 0; i < old; i++) {
        if (is_found(&self->requests[i])) {
            link_found(self, i);
        }
    }
    for (uint32_t i = capacity; i > old; i--) {
        self->requests[i - 1] = (request_t){.next = self->request_free};
        self->request_free = i - 1;
    }
}

/* A request leaves the table when it is answered, or when its asker gives up at the deadline and
 * says so. If neither is heard of (another cell's actor has answered it, or the asker's cell
 * hangs), it goes a second after its deadline, when its place is needed. */
static void make_room(calls_t *self, int64_t now_us)
{
    uint32_t freed = 0;
    for (uint32_t i = 0; i < self->request_capacity; i++) {
        const request_t *request = &self->requests[i];
        if (request->state == REQUEST_WORKING && request->deadline_us > 0 &&
            request->deadline_us < now_us - FORGET_US) {
            calls_forget(self, i);
            freed++;
        }
    }
    /* A quarter pays for the next walk. */
    if (freed < self->request_capacity / 4 || freed == 0) {
        grow_requests(self);
    }
}

uint32_t calls_queue(calls_t *self, party_t *party, const capstan_message_t *message,
                     int64_t now_us)
{
    if (message->correlation == 0 || capstan_ref_is_null(message->sender)) {
        return CALLS_NONE;
    }
    if (self->request_free == CALLS_NONE) {
        make_room(self, now_us);
    }
    uint32_t index = self->request_free;
    request_t *request = &self->requests[index];
    self->request_free = request->next;
    *request = (request_t){
        .party = party,
        .sender = message->sender,
        .correlation = message->correlation,
        .deadline_us = message->deadline_us,
        .next = party->requests,
        .previous = CALLS_NONE,
        .children = CALLS_NONE,
        .state = REQUEST_QUEUED,
    };
    if (request->next != CALLS_NONE) {
        self->requests[request->next].previous = index;
    }
    party->requests = index;
    link_found(self, index);
    return index;
}

bool calls_begin(calls_t *self, uint32_t request)
{
    if (self->requests[request].state == REQUEST_WITHDRAWN) {
        calls_forget(self, request);
        return false;
    }
    ENSURE(self->requests[request].state == REQUEST_QUEUED);
    self->requests[request].state = REQUEST_WORKING;
    return true;
}

static void unlink_request(calls_t *self, const request_t *request)
{
    if (request->previous != CALLS_NONE) {
        self->requests[request->previous].next = request->next;
    } else {
        request->party->requests = request->next;
    }
    if (request->next != CALLS_NONE) {
        self->requests[request->next].previous = request->previous;
    }
}

void calls_forget(calls_t *self, uint32_t index)
{
    request_t *request = &self->requests[index];
    ENSURE(request->state != REQUEST_FREE);
    if (is_found(request)) {
        unlink_found(self, index);
    }
    while (request->children != CALLS_NONE) {
        ask_t *child = &self->asks[request->children];
        request->children = child->next_child;
        child->request = CALLS_NONE;
    }
    if (request->party) {
        unlink_request(self, request);
    }
    if (request->state == REQUEST_CANCELLED) {
        /* It stands in the list of those to be told; calls_take_cancelled frees it there. */
        request->party = NULL;
        request->state = REQUEST_TOLD;
        return;
    }
    request->state = REQUEST_FREE;
    request->next = self->request_free;
    self->request_free = index;
}

/* The first of them in that chain of a bucket. */
static uint32_t find_same(const calls_t *self, uint32_t index, capstan_ref_t sender,
                          uint64_t correlation)
{
    while (index != CALLS_NONE && (self->requests[index].correlation != correlation ||
                                   !capstan_ref_equal(self->requests[index].sender, sender))) {
        index = self->requests[index].next_found;
    }
    return index;
}

static uint32_t first_same(const calls_t *self, capstan_ref_t sender, uint64_t correlation)
{
    if (self->request_capacity == 0) {
        return CALLS_NONE;
    }
    return find_same(self, self->buckets[bucket_of(self, sender, correlation)], sender,
                     correlation);
}

static uint32_t next_same(const calls_t *self, uint32_t index)
{
    const request_t *request = &self->requests[index];
    return find_same(self, request->next_found, request->sender, request->correlation);
}

uint32_t calls_find_request(const calls_t *self, capstan_ref_t sender, uint64_t correlation)
{
    uint32_t index = first_same(self, sender, correlation);
    while (index != CALLS_NONE && self->requests[index].state != REQUEST_WORKING &&
           self->requests[index].state != REQUEST_CANCELLED) {
        index = next_same(self, index);
    }
    return index;
}

uint32_t calls_request_of(const party_t *party)
{
    return party->requests;
}

const request_t *calls_request(const calls_t *self, uint32_t request)
{
    return &self->requests[request];
}

static void cancel(calls_t *self, uint32_t index)
{
    request_t *request = &self->requests[index];
    if (request->state == REQUEST_QUEUED) {
        request->state = REQUEST_WITHDRAWN;
    } else if (request->state == REQUEST_WORKING) {
        request->state = REQUEST_CANCELLED;
        request->next_cancelled = CALLS_NONE;
        if (self->cancelled_tail != CALLS_NONE) {
            self->requests[self->cancelled_tail].next_cancelled = index;
        } else {
            self->cancelled_head = index;
        }
        self->cancelled_tail = index;
    }
}

void calls_cancel(calls_t *self, capstan_ref_t sender, uint64_t correlation)
{
    uint32_t index = first_same(self, sender, correlation);
    while (index != CALLS_NONE) {
        cancel(self, index);
        index = next_same(self, index);
    }
}

bool calls_has_cancelled(const calls_t *self)
{
    return self->cancelled_head != CALLS_NONE;
}

uint32_t calls_take_cancelled(calls_t *self)
{
    while (self->cancelled_head != CALLS_NONE) {
        uint32_t index = self->cancelled_head;
        request_t *request = &self->requests[index];
        self->cancelled_head = request->next_cancelled;
        if (self->cancelled_head == CALLS_NONE) {
            self->cancelled_tail = CALLS_NONE;
        }
        if (request->state == REQUEST_CANCELLED) {
            unlink_found(self, index);
            request->state = REQUEST_TOLD;
            return index;
        }
        calls_forget(self, index); /* answered meanwhile, or its actor has ended */
    }
    return CALLS_NONE;
}
