/* A group between its partitions and a session that the test plays: a new policy waits until what
 * former members acknowledged is stored, since with it the group forgets everything else. */
#include "actors/ordering/group_actor.h"
#include "actors/ordering/ordering_messages.h"
#include "runtime/runtime.h"

#include <capstan/node.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>

enum {
    MESSAGE_begin = 0x8000,       /* the session subscribes */
    MESSAGE_let_through = 0x8001, /* partition 1 answers the mark that it keeps */
    MESSAGE_result = 0x8002,      /* request: answered with one byte, whether the policy holds */
    SUBSCRIPTION = 7,
    ROUNDS = 2, /* questions to the group: behind them it has had the end of a turn */
    TIMEOUT_US = 20000000,
};

typedef struct play {
    capstan_ref_t group;
    capstan_ref_t players[2]; /* the partitions; the first is the session too */
    capstan_message_t mark;   /* partition 1: kept, without its body */
    unsigned rounds;
    bool delivered;
    bool stored; /* what the member acknowledged */
    bool early;  /* the policy came before that */
    bool defined;
} play_t;

typedef struct player {
    play_t *play;
    size_t partition;
} player_t;

static void reply(capstan_actor_t *self, const capstan_message_t *request,
                  const wire_record_t *message, const void *value)
{
    buffer_t body = {0};
    codec_encode(message, value, &body);
    capstan_reply(self, request, message->id, buffer_slice(&body));
    buffer_fini(&body);
}

static void ask(capstan_actor_t *self, capstan_ref_t target, const wire_record_t *message,
                const void *value)
{
    uint64_t correlation;
    buffer_t body = {0};
    codec_encode(message, value, &body);
    cr_assert_eq(
        capstan_ask(self, target, message->id, buffer_slice(&body), TIMEOUT_US, &correlation),
        CAPSTAN_OK);
    buffer_fini(&body);
}

static void tell(capstan_actor_t *self, capstan_ref_t target, const wire_record_t *message,
                 const void *value)
{
    buffer_t body = {0};
    codec_encode(message, value, &body);
    cr_assert_eq(capstan_tell(self, target, message->id, buffer_slice(&body)), CAPSTAN_OK);
    buffer_fini(&body);
}

/* --- the partitions -------------------------------------------------------------------------- */

static void give_one_event(capstan_actor_t *self, play_t *play, const capstan_message_t *message)
{
    buffer_t events = {0};
    codec_list_writer_t list = codec_list_begin(&events);
    codec_list_add(&list, event_wire(), &(event_t){.offset = 1, .key = slice_text("k")});
    codec_list_end(&list);
    codec_list_t read;
    slice_t record;
    cr_assert_eq(codec_list_open(event_wire(), buffer_slice(&events), &read), CAPSTAN_OK);
    cr_assert(codec_list_next_raw(&read, &record));
    uint32_t size = (uint32_t)record.size;
    reply(self, message, partition_events_wire(),
          &(partition_events_t){.partition = 1,
                                .lsn_next = 2,
                                .offset_last = 1,
                                .deliver = buffer_slice(&events),
                                .sizes = slice_of(&size, sizeof size)});
    play->delivered = true;
    buffer_fini(&events);
}

static void on_mark(capstan_actor_t *self, player_t *player, const capstan_message_t *message)
{
    partition_mark_t request;
    group_mark_t mark;
    cr_assert_eq(codec_decode(partition_mark_wire(), message->body, &request, NULL), CAPSTAN_OK);
    cr_assert_eq(codec_decode(group_mark_wire(), request.mark, &mark, NULL), CAPSTAN_OK);
    if (player->partition == 1) {
        player->play->mark = *message;
        player->play->mark.body = (slice_t){0};
        return;
    }
    player->play->early |= mark.policy.size > 0 && !player->play->stored;
    capstan_reply(self, message, MESSAGE_done, slice_of("\x80", 1));
}

static void on_request(capstan_actor_t *self, player_t *player, const capstan_message_t *message)
{
    switch (message->message) {
    case MESSAGE_subscribe: /* as topics passes it on */
        tell(self, player->play->group, group_join_wire(),
             &(group_join_t){.session = message->sender,
                             .correlation = message->correlation,
                             .subscription = SUBSCRIPTION,
                             .events_max = 10,
                             .key_events_max = 1,
                             .concurrency = 1});
        break;
    case MESSAGE_partition_group:
        reply(self, message, group_stored_wire(),
              &(group_stored_t){.partition = player->partition});
        break;
    case MESSAGE_partition_read:
        if (player->partition == 1 && !player->play->delivered) {
            give_one_event(self, player->play, message);
        }
        break;
    case MESSAGE_partition_mark:
        on_mark(self, player, message);
        break;
    case MESSAGE_result:
        capstan_reply(self, message, MESSAGE_result,
                      slice_of(player->play->defined ? "y" : "n", 1));
        break;
    default:
        cr_assert_fail("message %u", message->message);
    }
}

/* --- the session ----------------------------------------------------------------------------- */

static void ask_about_nothing(capstan_actor_t *self, const play_t *play)
{
    ask(self, play->group, unsubscribe_wire(), &(unsubscribe_t){.subscription = SUBSCRIPTION + 1});
}

static void define(capstan_actor_t *self, play_t *play)
{
    buffer_t policy = {0};
    codec_encode(group_policy_wire(), &(group_policy_t){.attempts_max = 3}, &policy);
    ask(self, play->group, group_set_wire(), &(group_set_t){.policy = buffer_slice(&policy)});
    buffer_fini(&policy);
    ask_about_nothing(self, play);
}

static void on_deliver(capstan_actor_t *self, const play_t *play)
{
    buffer_t through = {0};
    codec_list_writer_t list = codec_list_begin(&through);
    codec_list_add(&list, position_wire(), &(position_t){.partition = 1, .first = 1, .offset = 1});
    codec_list_end(&list);
    tell(self, play->group, acknowledge_wire(),
         &(acknowledge_t){.subscription = SUBSCRIPTION, .through = buffer_slice(&through)});
    buffer_fini(&through);
    ask(self, play->group, unsubscribe_wire(), &(unsubscribe_t){.subscription = SUBSCRIPTION});
}

static void on_answer(capstan_actor_t *self, play_t *play, const capstan_message_t *message)
{
    if (message->message == MESSAGE_done) {
        define(self, play); /* it has unsubscribed */
    } else if (message->message == MESSAGE_group_defined) {
        play->defined = true;
    } else if (message->kind == CAPSTAN_KIND_ERROR && ++play->rounds < ROUNDS) {
        ask_about_nothing(self, play);
    } else if (message->kind == CAPSTAN_KIND_ERROR) {
        cr_assert_gt(play->mark.correlation, 0, "the acknowledgement was on its way to be stored");
        cr_assert_eq(capstan_tell(self, play->players[1], MESSAGE_let_through, (slice_t){0}),
                     CAPSTAN_OK);
    }
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    player_t *player = capstan_actor_state(self);
    play_t *play = player->play;
    if (message->kind == CAPSTAN_KIND_REQUEST) {
        on_request(self, player, message);
    } else if (message->kind != CAPSTAN_KIND_EVENT) {
        on_answer(self, play, message);
    } else if (message->message == MESSAGE_begin) {
        ask(self, play->players[1], subscribe_wire(), &(subscribe_t){.topic = slice_text("t")});
    } else if (message->message == MESSAGE_deliver) {
        on_deliver(self, play);
    } else if (message->message == MESSAGE_let_through) {
        play->stored = true;
        capstan_reply(self, &play->mark, MESSAGE_done, slice_of("\x80", 1));
    }
    return CAPSTAN_OK;
}

static capstan_err_t init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

/* --- the play -------------------------------------------------------------------------------- */

static void open_group(capstan_node_t *node, const play_t *play)
{
    buffer_t refs = {0};
    buffer_t body = {0};
    codec_list_writer_t list = codec_list_begin(&refs);
    for (size_t i = 0; i < 2; i++) {
        codec_list_add(&list, partition_ref_wire(), &(partition_ref_t){.actor = play->players[i]});
    }
    codec_list_end(&list);
    codec_encode(group_open_wire(),
                 &(group_open_t){.topic = slice_text("t"),
                                 .group = slice_text("g"),
                                 .partitions = buffer_slice(&refs)},
                 &body);
    cr_assert_eq(capstan_node_tell(node, play->group, MESSAGE_group_open, buffer_slice(&body)),
                 CAPSTAN_OK);
    buffer_fini(&refs);
    buffer_fini(&body);
}

static bool is_defined(capstan_node_t *node, const play_t *play)
{
    void *answer = NULL;
    size_t size;
    cr_assert_eq(capstan_node_ask(node, play->players[0], MESSAGE_result, (slice_t){0}, TIMEOUT_US,
                                  &answer, &size),
                 CAPSTAN_OK);
    bool defined = size == 1 && *(const char *)answer == 'y';
    free(answer);
    return defined;
}

Test(group_policy, holds_once_what_former_members_acknowledged_is_stored, .timeout = 60)
{
    static const capstan_behaviour_t behaviour = {
        .name = "player", .init = init, .receive = receive};
    ordering_settings_t settings = {.group_events_max = 100,
                                    .group_bytes_max = 1 << 20,
                                    .group_ranges_max = 100,
                                    .group_attempts_max = 8,
                                    .group_retry_ms_min = 1,
                                    .group_retry_ms_max = 1};
    play_t play = {0};
    player_t players[2] = {{&play, 0}, {&play, 1}};
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(capstan_node_spawn(
                         node, &behaviour,
                         &(capstan_spawn_options_t){.cell = "players", .argument = &players[i]},
                         &play.players[i]),
                     CAPSTAN_OK);
    }
    cr_assert_eq(
        capstan_node_spawn(node, &group_behaviour,
                           &(capstan_spawn_options_t){.cell = "groups", .argument = &settings},
                           &play.group),
        CAPSTAN_OK);
    open_group(node, &play);
    cr_assert_eq(capstan_node_tell(node, play.players[0], MESSAGE_begin, (slice_t){0}), CAPSTAN_OK);
    while (!is_defined(node, &play)) {
        (void)poll(NULL, 0, 1);
    }
    cr_assert(play.stored);
    cr_assert_not(play.early, "the policy was on its way before the acknowledgement was stored");
    cr_assert_eq(capstan_node_stop(&node, TIMEOUT_US, NULL, NULL), CAPSTAN_OK);
}
