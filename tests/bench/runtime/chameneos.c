/* chameneos CREATURES MEETINGS: creatures of three colours ask a mall for a partner, two at a time
 * meet, take the colour that neither has, and ask again. When MEETINGS are over the mall sends each
 * creature away, and each says how often it has met: together twice MEETINGS. Operations are
 * meetings. The creatures are spread over the cells.
 *
 * From Savina (100 creatures, 200,000 meetings); five times the meetings, so that a run takes about
 * a second on two cores. */
#include "tests/bench/runtime/host.h"

#include <stdlib.h>

enum {
    MESSAGE_meet = HOST_MESSAGE, /* creature to mall */
    MESSAGE_partner,             /* mall to the creature that waited */
    MESSAGE_change,              /* and from it to the other */
    MESSAGE_go_away,
    MESSAGE_met, /* the last word of a creature */
    COLOURS = 3,
};

typedef struct partner {
    capstan_ref_t ref;
    uint32_t colour;
} partner_t;

typedef struct creature {
    capstan_ref_t mall;
    uint32_t colour;
    uint64_t meetings;
} creature_t;

typedef struct mall {
    uint64_t creatures;
    uint64_t meetings;
    uint64_t meetings_left;
    capstan_ref_t waiting; /* null: nobody */
    uint64_t gone;
    uint64_t met;
    creature_t *creature_states;
    capstan_message_t begin;
} mall_t;

static uint32_t complement(uint32_t a, uint32_t b)
{
    return a == b ? a : COLOURS - a - b;
}

static void meet_again(capstan_actor_t *self, const creature_t *creature)
{
    host_tell(self, creature->mall, MESSAGE_meet, &creature->colour, sizeof creature->colour);
}

static capstan_err_t begin_creature(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    meet_again(self, argument);
    return CAPSTAN_OK;
}

static capstan_err_t on_creature(capstan_actor_t *self, const capstan_message_t *message)
{
    creature_t *creature = capstan_actor_state(self);
    partner_t partner;
    switch (message->message) {
    case MESSAGE_partner:
        memcpy(&partner, message->body.data, sizeof partner);
        creature->colour = complement(creature->colour, partner.colour);
        creature->meetings++;
        host_tell(self, partner.ref, MESSAGE_change, &creature->colour, sizeof creature->colour);
        meet_again(self, creature);
        break;
    case MESSAGE_change:
        memcpy(&creature->colour, message->body.data, sizeof creature->colour);
        creature->meetings++;
        meet_again(self, creature);
        break;
    default: /* go_away */
        host_tell(self, creature->mall, MESSAGE_met, &creature->meetings,
                  sizeof creature->meetings);
        capstan_actor_exit(self, CAPSTAN_OK);
    }
    return CAPSTAN_OK;
}

static void begin(capstan_actor_t *self, mall_t *mall)
{
    static const capstan_behaviour_t behaviour = {
        .name = "creature", .init = begin_creature, .receive = on_creature};
    for (uint64_t i = 0; i < mall->creatures; i++) {
        mall->creature_states[i] =
            (creature_t){.mall = capstan_actor_ref(self), .colour = (uint32_t)(i % COLOURS)};
        host_spawn(self, &behaviour,
                   &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_SPREAD,
                                              .argument = &mall->creature_states[i]});
    }
}

static void on_meet(capstan_actor_t *self, mall_t *mall, const capstan_message_t *message)
{
    if (mall->meetings_left == 0) {
        host_tell(self, message->sender, MESSAGE_go_away, NULL, 0);
    } else if (capstan_ref_is_null(mall->waiting)) {
        mall->waiting = message->sender;
    } else {
        partner_t partner = {.ref = message->sender};
        memcpy(&partner.colour, message->body.data, sizeof partner.colour);
        host_tell(self, mall->waiting, MESSAGE_partner, &partner, sizeof partner);
        mall->waiting = (capstan_ref_t){0};
        mall->meetings_left--;
    }
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    mall_t *mall = capstan_actor_state(self);
    uint64_t met;
    switch (message->message) {
    case HOST_BEGIN:
        mall->begin = *message;
        begin(self, mall);
        break;
    case MESSAGE_meet:
        on_meet(self, mall, message);
        break;
    default: /* met */
        memcpy(&met, message->body.data, sizeof met);
        mall->met += met;
        if (++mall->gone == mall->creatures) {
            bench_expect("meetings of all creatures", mall->met, 2 * mall->meetings);
            capstan_reply(self, &mall->begin, HOST_BEGIN, (capstan_slice_t){0});
        }
    }
    return CAPSTAN_OK;
}

int main(int argc, char **argv)
{
    static const capstan_behaviour_t behaviour = {
        .name = "mall", .init = host_keep_argument, .receive = receive};
    mall_t mall = {
        .creatures = bench_argument(argc, argv, 1, "creatures"),
        .meetings = bench_argument(argc, argv, 2, "meetings"),
    };
    mall.meetings_left = mall.meetings;
    mall.creature_states = calloc(mall.creatures, sizeof *mall.creature_states);
    bench_figures_t figures =
        host_run((capstan_node_options_t){0}, &behaviour, &mall, mall.meetings);
    bench_print(&figures);
    free(mall.creature_states);
    return 0;
}
