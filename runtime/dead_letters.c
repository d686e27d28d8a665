#include "runtime/dead_letters.h"

#include "runtime/cell.h"
#include "runtime/runtime_messages.h"

void dead_letters_init(dead_letters_t *self)
{
    *self = (dead_letters_t){0};
    pthread_mutex_init(&self->mutex, NULL);
}

void dead_letters_fini(dead_letters_t *self)
{
    pthread_mutex_destroy(&self->mutex);
}

static void remove_at(dead_letters_t *self, uint32_t place)
{
    uint32_t last = atomic_load_explicit(&self->count, memory_order_relaxed) - 1;
    self->subscribers[place] = self->subscribers[last];
    atomic_store_explicit(&self->count, last, memory_order_relaxed);
}

static uint32_t find(const dead_letters_t *self, capstan_ref_t ref)
{
    uint32_t count = atomic_load_explicit(&self->count, memory_order_relaxed);
    uint32_t place = 0;
    while (place < count && !capstan_ref_equal(self->subscribers[place], ref)) {
        place++;
    }
    return place;
}

capstan_err_t capstan_dead_letters_subscribe(capstan_actor_t *self)
{
    dead_letters_t *letters = node_dead_letters(self->cell->node);
    capstan_err_t err = CAPSTAN_OK;
    pthread_mutex_lock(&letters->mutex);
    uint32_t count = atomic_load_explicit(&letters->count, memory_order_relaxed);
    /* The places of those who have ended are free. */
    for (uint32_t i = count; i > 0; i--) {
        if (!route_find(self->cell->node, letters->subscribers[i - 1])) {
            remove_at(letters, i - 1);
            count--;
        }
    }
    if (find(letters, self->ref) < count) {
        /* It has subscribed already. */
    } else if (count == DEAD_LETTER_SUBSCRIBERS_MAX) {
        err = CAPSTAN_E_LIMIT;
    } else {
        letters->subscribers[count] = self->ref;
        atomic_store_explicit(&letters->count, count + 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&letters->mutex);
    return err;
}

void capstan_dead_letters_unsubscribe(capstan_actor_t *self)
{
    dead_letters_t *letters = node_dead_letters(self->cell->node);
    pthread_mutex_lock(&letters->mutex);
    uint32_t place = find(letters, self->ref);
    if (place < atomic_load_explicit(&letters->count, memory_order_relaxed)) {
        remove_at(letters, place);
    }
    pthread_mutex_unlock(&letters->mutex);
}

void dead_letters_tell(cell_t *cell, const capstan_message_t *message, drop_reason_t reason)
{
    dead_letters_t *letters = node_dead_letters(cell->node);
    if (atomic_load_explicit(&letters->count, memory_order_relaxed) == 0 ||
        message->message == MESSAGE_dead_letter) {
        return;
    }
    capstan_ref_t to[DEAD_LETTER_SUBSCRIBERS_MAX];
    pthread_mutex_lock(&letters->mutex);
    uint32_t count = atomic_load_explicit(&letters->count, memory_order_relaxed);
    memcpy(to, letters->subscribers, count * sizeof *to);
    pthread_mutex_unlock(&letters->mutex);
    size_t size = message->body.size;
    size_t shown = size < DEAD_LETTER_BODY_MAX ? size : DEAD_LETTER_BODY_MAX;
    buffer_t body = {0};
    codec_encode(dead_letter_wire(),
                 &(dead_letter_t){
                     .reason = slice_text(drop_reason_name(reason)),
                     .message = message->message,
                     .kind = message->kind,
                     .sender = message->sender,
                     .target = message->target,
                     .size = size,
                     .body = slice_of(message->body.data, shown),
                 },
                 &body);
    for (uint32_t i = 0; i < count; i++) {
        /* A subscriber that is full or has gone misses it; what is refused is counted there. */
        (void)!route_send(cell,
                          &(capstan_message_t){.message = MESSAGE_dead_letter,
                                               .kind = CAPSTAN_KIND_EVENT,
                                               .target = to[i],
                                               .body = buffer_slice(&body)},
                          false);
    }
    buffer_fini(&body);
}

bool capstan_message_is_dead_letter(const capstan_message_t *message,
                                    capstan_dead_letter_t *ret_letter)
{
    dead_letter_t letter;
    if (message->message != MESSAGE_dead_letter ||
        codec_decode(dead_letter_wire(), message->body, &letter, NULL) != CAPSTAN_OK) {
        return false;
    }
    *ret_letter = (capstan_dead_letter_t){
        .reason = letter.reason,
        .message = (uint32_t)letter.message,
        .kind = (uint32_t)letter.kind,
        .sender = letter.sender,
        .target = letter.target,
        .size = letter.size,
        .body = letter.body,
    };
    return true;
}
