#include "runtime/waiter.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"
#include "runtime/host.h"
#include "runtime/node_internal.h"

#include <stdlib.h>
#include <string.h>

enum { GRACE_US = 10000 };

waiter_t *waiter_new(capstan_node_t *node)
{
    waiter_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->node = node;
    self->platform = node->platform;
    self->host = host_is_mine(node->host) ? node->host : NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&self->mutex, NULL);
    return self;
}

void waiter_drop(waiter_t *self)
{
    pthread_cond_destroy(&self->condition);
    pthread_mutex_destroy(&self->mutex);
    free(self->body);
    free(self);
}

static int64_t now_us(const waiter_t *self)
{
    return self->platform->now_ns(self->node) / 1000;
}

/* The host's thread runs its cell meanwhile: what it waits for may depend on it. The mutex is
 * held. */
static void wait_for_news(waiter_t *self)
{
    if (!self->host) {
        self->platform->wait(self->node, self);
        return;
    }
    int64_t left_ms = self->until_us == INT64_MAX ? -1 : (self->until_us - now_us(self)) / 1000 + 1;
    pthread_mutex_unlock(&self->mutex);
    host_wait(self->host, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX);
    pthread_mutex_lock(&self->mutex);
}

capstan_err_t waiter_wait(waiter_t *self, int64_t deadline_us, void **ret_body, size_t *ret_size)
{
    self->until_us = clock_add_us(deadline_us, GRACE_US);
    pthread_mutex_lock(&self->mutex);
    while (!self->done && (self->until_us == INT64_MAX || now_us(self) < self->until_us)) {
        wait_for_news(self);
    }
    self->abandoned = !self->done;
    if (self->abandoned) {
        pthread_mutex_unlock(&self->mutex);
        return CAPSTAN_E_TIMEOUT;
    }
    pthread_mutex_unlock(&self->mutex);
    capstan_err_t err = self->err;
    if (err == CAPSTAN_OK && ret_body) {
        *ret_body = self->body;
        *ret_size = self->size;
        self->body = NULL;
    }
    waiter_drop(self);
    return err;
}

void waiter_finish(waiter_t *self, capstan_err_t err, slice_t body)
{
    pthread_mutex_lock(&self->mutex);
    if (self->abandoned) {
        pthread_mutex_unlock(&self->mutex);
        waiter_drop(self);
        return;
    }
    self->err = err;
    if (body.size > 0) {
        self->body = malloc(body.size);
        ENSURE(self->body);
        memcpy(self->body, body.data, body.size);
    }
    self->size = body.size;
    self->done = true;
    pthread_cond_signal(&self->condition);
    if (self->host) {
        cell_wake(self->host);
    }
    pthread_mutex_unlock(&self->mutex);
}
