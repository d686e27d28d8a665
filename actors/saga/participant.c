/* The calls of capstan/participant.h. */
#include "actors/saga/participant_shared.h"

#include "runtime/base/ensure.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES = 512 };

void participant_give_back(capstan_participant_t *self)
{
    /* Release: what an owner did to it precedes its end; acquire: whoever frees it sees all. */
    if (atomic_fetch_sub_explicit(&self->owners, 1, memory_order_acq_rel) == 1) {
        free(self);
    }
}

static capstan_participant_t *make(void)
{
    capstan_participant_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    atomic_init(&self->owners, 1);
    atomic_init(&self->ended, false);
    return self;
}

/* On failure the participant is given back, and the caller's text says why. */
static capstan_err_t hand_over(capstan_participant_t *self, capstan_err_t err, const char *text,
                               capstan_participant_t **ret_self, char *ret_text, size_t text_size)
{
    if (err == CAPSTAN_OK) {
        *ret_self = self;
        return CAPSTAN_OK;
    }
    if (ret_text && text_size > 0) {
        snprintf(ret_text, text_size, "%s", text[0] ? text : capstan_err_remedy(err));
    }
    participant_give_back(self);
    return err;
}

capstan_err_t capstan_participant_start(capstan_node_t *node,
                                        const capstan_participant_options_t *options,
                                        capstan_participant_t **ret_self, char *ret_text,
                                        size_t text_size)
{
    char text[TEXT_BYTES] = "";
    capstan_participant_t *self = make();
    participant_arguments_t arguments = {
        .shared = self, .options = options, .text = text, .text_size = sizeof text};
    self->node = node;
    capstan_ref_t actor; /* it says so itself */
    capstan_err_t err = capstan_node_spawn(
        node, &participant_behaviour,
        &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_OWN, .argument = &arguments}, &actor);
    return hand_over(self, err, text, ret_self, ret_text, text_size);
}

capstan_err_t capstan_participant_connect(const capstan_participant_options_t *options,
                                          capstan_participant_t **ret_self, char *ret_text,
                                          size_t text_size)
{
    char text[TEXT_BYTES] = "";
    capstan_participant_t *self = make();
    capstan_err_t err = participant_link_open(options, &self->link, text, sizeof text);
    return hand_over(self, err, text, ret_self, ret_text, text_size);
}

size_t capstan_participant_poll(capstan_participant_t *self, int64_t timeout_us)
{
    return self->link ? participant_link_poll(self->link, timeout_us) : 0;
}

capstan_peer_t *capstan_participant_peer(capstan_participant_t *self)
{
    return self->link ? participant_link_peer(self->link) : NULL;
}

capstan_err_t capstan_participant_stop(capstan_participant_t **self_p, int64_t timeout_us)
{
    capstan_participant_t *self = *self_p;
    if (!self) {
        return CAPSTAN_OK;
    }
    if (self->link) {
        participant_link_close(&self->link, timeout_us);
    } else if (!atomic_load_explicit(&self->ended, memory_order_acquire)) {
        capstan_err_t err = capstan_node_ask(self->node, self->actor, MESSAGE_participant_close,
                                             slice_of("\x80", 1), timeout_us, NULL, NULL);
        if (err == CAPSTAN_E_TIMEOUT || err == CAPSTAN_E_MAILBOX_FULL) {
            return CAPSTAN_E_TIMEOUT;
        }
    }
    *self_p = NULL;
    participant_give_back(self);
    return CAPSTAN_OK;
}
