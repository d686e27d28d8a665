/* The core of a peer's side: what is kept, sent within the credit, and sent again. */
#include "brokers/peer/peer_link.h"

#include "runtime/base/ensure.h"

#include <criterion/criterion.h>

static peer_link_t *new_link(uint64_t messages, uint64_t bytes)
{
    return peer_link_new(&(peer_link_limits_t){
        .messages_max = messages, .bytes_max = bytes, .batch_messages = 64, .batch_bytes = 65536});
}

/* A message whose body is its token, padded to `size`. */
static capstan_err_t queue_item(peer_link_t *self, const peer_item_t *what, size_t size)
{
    buffer_t encoded = {0};
    batch_writer_t writer = {.out = &encoded};
    uint8_t *body = calloc(1, size);
    memcpy(body, &what->token, sizeof what->token);
    batch_add(&writer, &(envelope_t){.message = 0x44, .kind = 3}, slice_of(body, size));
    peer_item_t item = *what;
    item.encoded = buffer_slice(&encoded);
    item.body_bytes = (uint32_t)size;
    capstan_err_t err = peer_link_queue(self, &item);
    free(body);
    buffer_fini(&encoded);
    return err;
}

static capstan_err_t queue(peer_link_t *self, uint64_t token, size_t size, bool request)
{
    return queue_item(self, &(peer_item_t){.token = token, .request = request}, size);
}

/* Sends one batch: its tokens go to `ret_tokens`; returns their number. */
static uint32_t send_batch(peer_link_t *self, uint64_t *ret_tokens, uint64_t *ret_sequence)
{
    buffer_t out = {0};
    batch_writer_t writer = batch_begin(&out);
    *ret_sequence = 0;
    uint32_t count = peer_link_fill(self, &writer, ret_sequence);
    peer_link_sent(self, count);
    batch_seal(&writer, &(link_header_t){.version = WIRE_VERSION});
    batch_reader_t reader;
    cr_assert_eq(batch_open(buffer_slice(&out), &reader), CAPSTAN_OK);
    envelope_t envelope;
    slice_t body;
    uint32_t read = 0;
    while (batch_next(&reader, &envelope, &body)) {
        memcpy(&ret_tokens[read++], body.data, sizeof *ret_tokens);
    }
    cr_assert_eq(reader.fault.err, CAPSTAN_OK);
    cr_assert_eq(read, count);
    buffer_fini(&out);
    return count;
}

static void count_outcome(void *context, uint64_t token, uint64_t result, capstan_err_t err)
{
    (void)err;
    uint8_t *answers = context;
    cr_assert_eq(result, 1u);
    answers[token]++;
}

Test(peer_link, sends_nothing_without_credit)
{
    peer_link_t *self = new_link(100, 100000);
    uint64_t tokens[64];
    uint64_t sequence;
    cr_assert_eq(queue(self, 1, 100, false), CAPSTAN_OK);
    cr_assert_eq(send_batch(self, tokens, &sequence), 0);
    peer_link_grant(self, 0, 100000);
    cr_assert_eq(send_batch(self, tokens, &sequence), 0);
    peer_link_grant(self, 1, 0);
    cr_assert_eq(send_batch(self, tokens, &sequence), 1);
    cr_assert_eq(tokens[0], 1u);
    cr_assert_eq(sequence, 1u);
    peer_link_destroy(&self);
}

Test(peer_link, keeps_within_messages_and_bytes_granted)
{
    peer_link_t *self = new_link(100, 100000);
    uint64_t tokens[64];
    uint64_t sequence;
    for (uint64_t i = 0; i < 10; i++) {
        cr_assert_eq(queue(self, i, 100, false), CAPSTAN_OK);
    }
    peer_link_grant(self, 3, 100000);
    cr_assert_eq(send_batch(self, tokens, &sequence), 3);
    cr_assert_eq(send_batch(self, tokens, &sequence), 0);
    peer_link_grant(self, 2, 50); /* an older grant */
    cr_assert_eq(send_batch(self, tokens, &sequence), 0);
    peer_link_grant(self, 7, 0);
    cr_assert_eq(send_batch(self, tokens, &sequence), 4);
    cr_assert_eq(sequence, 4u);
    peer_link_destroy(&self);
    self = new_link(100, 100000);
    for (uint64_t i = 0; i < 10; i++) {
        cr_assert_eq(queue(self, i, 100, false), CAPSTAN_OK);
    }
    peer_link_grant(self, 100, 201);
    cr_assert_eq(send_batch(self, tokens, &sequence), 3, "the last one may overrun");
    cr_assert_eq(send_batch(self, tokens, &sequence), 0);
    peer_link_destroy(&self);
}

Test(peer_link, refuses_what_it_may_not_keep)
{
    peer_link_t *self = new_link(3, 1000);
    for (uint64_t i = 0; i < 3; i++) {
        cr_assert_eq(queue(self, i, 100, false), CAPSTAN_OK);
    }
    cr_assert_eq(queue(self, 3, 100, false), CAPSTAN_E_NO_CREDIT);
    peer_link_destroy(&self);
    self = new_link(100, 1000);
    cr_assert_eq(queue(self, 0, 600, false), CAPSTAN_OK);
    cr_assert_eq(queue(self, 1, 600, false), CAPSTAN_E_NO_CREDIT);
    cr_assert_eq(queue(self, 1, 100, false), CAPSTAN_OK);
    peer_link_destroy(&self);
    self = new_link(100, 1000);
    cr_assert_eq(queue(self, 0, 5000, false), CAPSTAN_OK, "one is always taken");
    peer_link_destroy(&self);
}

Test(peer_link, sends_again_what_has_no_answer_in_order_and_renumbered)
{
    peer_link_t *self = new_link(100, 100000);
    uint64_t tokens[64];
    uint64_t sequence;
    uint8_t answers[100] = {0};
    for (uint64_t i = 0; i < 10; i++) {
        cr_assert_eq(queue(self, i, 100, i == 4), CAPSTAN_OK);
    }
    peer_link_grant(self, 8, 100000);
    cr_assert_eq(send_batch(self, tokens, &sequence), 8);
    peer_link_answer(self, &(outcome_t){.first = 2, .last = 3, .result = 1}, count_outcome,
                     answers); /* tokens 1 and 2 */
    peer_link_answer(self, &(outcome_t){.first = 5, .last = 6, .result = 1}, count_outcome,
                     answers); /* token 5; the request is not answered by an outcome */
    cr_assert_eq(answers[4], 0);
    cr_assert(!peer_link_settle(self, 99));
    cr_assert_eq(peer_link_unanswered(self), 7u);
    peer_link_restart(self);
    cr_assert_eq(peer_link_unanswered(self), 7u);
    cr_assert_eq(send_batch(self, tokens, &sequence), 0, "the old grant is void");
    peer_link_grant(self, 100, 100000);
    cr_assert_eq(send_batch(self, tokens, &sequence), 7);
    cr_assert_eq(sequence, 1u);
    const uint64_t expected[] = {0, 3, 4, 6, 7, 8, 9};
    cr_assert_arr_eq(tokens, expected, sizeof expected);
    cr_assert(peer_link_settle(self, 4));
    cr_assert(!peer_link_settle(self, 4));
    peer_link_answer(self, &(outcome_t){.first = 1, .last = 7, .result = 1}, count_outcome,
                     answers);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(answers[i], i == 4 ? 0 : 1, "token %d", i);
    }
    cr_assert_eq(peer_link_unanswered(self), 0u);
    peer_link_destroy(&self);
}

Test(peer_link, is_done_with_a_tell_when_it_is_sent)
{
    peer_link_t *self = new_link(100, 100000);
    uint64_t tokens[64];
    uint64_t sequence;
    uint8_t answers[100] = {0};
    for (uint64_t i = 0; i < 4; i++) {
        cr_assert_eq(queue_item(self, &(peer_item_t){.token = i, .tell = i != 1}, 100), CAPSTAN_OK);
    }
    cr_assert_gt(peer_link_unsent_bytes(self), 400u);
    peer_link_grant(self, 3, 100000);
    cr_assert_eq(send_batch(self, tokens, &sequence), 3);
    cr_assert_eq(peer_link_unanswered(self), 2u); /* the publish between them, and what is left */
    cr_assert_eq(peer_link_answer(self, &(outcome_t){.first = 1, .last = 1, .result = 4},
                                  count_outcome, answers),
                 1u);
    cr_assert_eq(peer_link_answer(self, &(outcome_t){.first = 3, .last = 3, .result = 4},
                                  count_outcome, answers),
                 1u);
    cr_assert_eq(peer_link_answer(self, &(outcome_t){.first = 2, .last = 2, .result = 1},
                                  count_outcome, answers),
                 0u);
    cr_assert_eq(answers[1], 1);
    cr_assert_eq(peer_link_unanswered(self), 1u);
    peer_link_restart(self);
    peer_link_grant(self, 100, 100000);
    cr_assert_eq(send_batch(self, tokens, &sequence), 1, "what was sent is not sent again");
    cr_assert_eq(tokens[0], 3u);
    cr_assert_eq(peer_link_unanswered(self), 0u);
    cr_assert_eq(peer_link_unsent_bytes(self), 0u);
    peer_link_destroy(&self);
}

Test(peer_link, does_not_repeat_a_request_that_nobody_waits_for)
{
    peer_link_t *self = new_link(100, 100000);
    uint64_t tokens[64];
    uint64_t sequence;
    cr_assert_eq(queue(self, 1, 100, true), CAPSTAN_OK);
    cr_assert_eq(queue(self, 2, 100, false), CAPSTAN_OK);
    peer_link_grant(self, 100, 100000);
    cr_assert_eq(send_batch(self, tokens, &sequence), 2);
    peer_link_abandon(self, 1);
    peer_link_abandon(self, 1);
    cr_assert_eq(peer_link_unanswered(self), 1u);
    peer_link_restart(self);
    cr_assert_eq(peer_link_unanswered(self), 1u);
    peer_link_grant(self, 100, 100000);
    cr_assert_eq(send_batch(self, tokens, &sequence), 1);
    cr_assert_eq(tokens[0], 2u);
    peer_link_destroy(&self);
}

Test(peer_link, ignores_answers_to_what_was_not_sent)
{
    peer_link_t *self = new_link(100, 100000);
    uint64_t tokens[64];
    uint64_t sequence;
    uint8_t answers[100] = {0};
    cr_assert_eq(queue(self, 1, 100, false), CAPSTAN_OK);
    cr_assert_eq(queue(self, 2, 100, false), CAPSTAN_OK);
    peer_link_grant(self, 1, 100000);
    cr_assert_eq(send_batch(self, tokens, &sequence), 1);
    const outcome_t wrong[] = {{.first = 2, .last = 2, .result = 1},
                               {.first = 0, .last = 1, .result = 1},
                               {.first = 9, .last = 1, .result = 1},
                               {.first = UINT64_MAX, .last = UINT64_MAX, .result = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        peer_link_answer(self, &wrong[i], count_outcome, answers);
    }
    cr_assert_eq(answers[1] + answers[2], 0);
    peer_link_answer(self, &(outcome_t){.first = 1, .last = UINT64_MAX, .result = 1}, count_outcome,
                     answers);
    cr_assert_eq(answers[1], 1);
    cr_assert_eq(answers[2], 0);
    peer_link_destroy(&self);
}

/* Random sizes, answers in any order, sessions lost at any time: each message reaches the other
 * side, in the order of first sending within a session, and is answered once. */
Test(peer_link, loses_and_repeats_nothing_in_random_runs)
{
    enum { MESSAGES = 20000, KEPT = 500 };
    static uint8_t answers[MESSAGES];
    static uint64_t flight[KEPT];
    static uint64_t by_sequence[MESSAGES * 2];
    uint64_t seed = 7;
    peer_link_t *self = new_link(KEPT, 200000);
    uint64_t queued = 0;
    uint64_t sent = 0;
    uint64_t granted = 0;
    size_t flying = 0;
    while (queued < MESSAGES || peer_link_unanswered(self) > 0) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t draw = seed >> 33;
        if (draw % 211 == 0) {
            peer_link_restart(self);
            sent = 0;
            granted = 0;
            flying = 0;
        }
        for (uint64_t i = 0; i < draw % 90 && queued < MESSAGES; i++) {
            if (queue(self, queued, 8 + (draw * (i + 1)) % 2000, false) != CAPSTAN_OK) {
                break;
            }
            queued++;
        }
        granted += (draw >> 9) % 70;
        peer_link_grant(self, granted, UINT64_MAX);
        uint64_t tokens[64];
        uint64_t sequence;
        uint32_t count = send_batch(self, tokens, &sequence);
        cr_assert(count == 0 || sequence == sent + 1);
        for (uint32_t i = 0; i < count; i++) {
            cr_assert(sent == 0 || tokens[i] > by_sequence[sent]);
            cr_assert_eq(answers[tokens[i]], 0, "an answered one is not sent again");
            by_sequence[++sent] = tokens[i];
            flight[flying++] = sent;
        }
        for (uint64_t i = 0; i < (draw >> 16) % 70 && flying > 0; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t pick = (seed >> 33) % flying;
            peer_link_answer(self,
                             &(outcome_t){.first = flight[pick], .last = flight[pick], .result = 1},
                             count_outcome, answers);
            flight[pick] = flight[--flying];
        }
    }
    for (int i = 0; i < MESSAGES; i++) {
        cr_assert_eq(answers[i], 1, "token %d", i);
    }
    peer_link_destroy(&self);
}
