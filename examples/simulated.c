/* Testing actors in a simulator: several nodes in virtual time, where packets are lost and doubled
 * and nodes lose power, so that hundreds of bad days pass within a second, and each can be had
 * again.
 *
 * A customer pays coins into a till on another node, one after the other. When no answer comes in
 * time it pays the same coin again. Both note on their disks how far they are, and go on from there
 * after a crash. At the end as many coins have to be in the till as were paid.
 *
 * A careless till counts whatever comes, and so counts a coin twice when only the answer was lost.
 * The check finds a run that shows it, and prints on stderr what of all that went wrong in it is
 * needed. That is one lost packet, and the last part of this program makes it happen again. A
 * careful till looks at the number of the coin.
 *
 * It prints:
 *   a careful till: 200 of 200 seeds pass
 *   a careless till: not all seeds pass
 *   with one lost answer: once: 5 coins were paid, 6 are in the till */
#include <capstan/simulation.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MESSAGE_pay = 0x8000, /* request: a uint64_t, the coin's number; reply: nothing */
    CUSTOMER = 0,         /* numbers of nodes, in the order in which they are added */
    TILL,
    COINS = 5,
    PATIENCE_US = 20000,
    SECOND_US = 1000000,
};

/* What a node has on its disk. */
typedef struct note {
    uint64_t last; /* number of the coin that was paid, or counted, last */
    uint64_t coins;
} note_t;

static note_t load(capstan_simulation_t *world, uint32_t node)
{
    capstan_buffer_t bytes = {0};
    note_t note = {0};
    if (capstan_simulation_disk_read(world, node, "note", &bytes) == CAPSTAN_OK &&
        bytes.size == sizeof note) {
        memcpy(&note, bytes.data, sizeof note);
    }
    capstan_buffer_fini(&bytes);
    return note;
}

static capstan_err_t save(capstan_simulation_t *world, uint32_t node, note_t note)
{
    capstan_err_t err =
        capstan_simulation_disk_write(world, node, "note", (capstan_slice_t){&note, sizeof note});
    return err == CAPSTAN_OK ? capstan_simulation_disk_sync(world, node, "note") : err;
}

/* --- the till -------------------------------------------------------------------------------- */

static capstan_err_t till_init(capstan_actor_t *self, void *careful)
{
    capstan_actor_set_state(self, careful);
    return CAPSTAN_OK;
}

static capstan_err_t till_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    uint32_t node;
    capstan_simulation_t *world = capstan_simulation_of(capstan_actor_node(self), &node);
    const bool *careful = capstan_actor_state(self);
    note_t note = load(world, node);
    uint64_t coin;
    capstan_err_t err = CAPSTAN_OK;
    memcpy(&coin, message->body.data, sizeof coin);
    if (!*careful || coin > note.last) {
        err = save(world, node, (note_t){.last = coin, .coins = note.coins + 1});
    }
    if (err == CAPSTAN_OK) {
        capstan_reply(self, message, MESSAGE_pay, (capstan_slice_t){0});
    }
    return err;
}

static capstan_err_t start_till(capstan_simulation_t *world, uint32_t node, void *context)
{
    static const capstan_behaviour_t till = {
        .name = "till", .init = till_init, .receive = till_receive};
    capstan_ref_t ref;
    return capstan_node_spawn(capstan_simulation_node(world, node), &till,
                              &(capstan_spawn_options_t){.name = "till", .argument = context},
                              &ref);
}

/* --- the customer ---------------------------------------------------------------------------- */

/* The answer, or its absence, comes as a message. Where there is no till the timer tries again. */
static void pay(capstan_actor_t *self)
{
    uint32_t node;
    capstan_simulation_t *world = capstan_simulation_of(capstan_actor_node(self), &node);
    uint64_t coin = load(world, node).last + 1;
    uint64_t correlation;
    capstan_ref_t till;
    if (coin <= COINS &&
        (capstan_resolve(self, "shop:till", &till) != CAPSTAN_OK ||
         capstan_ask(self, till, MESSAGE_pay, (capstan_slice_t){&coin, sizeof coin}, PATIENCE_US,
                     &correlation) != CAPSTAN_OK)) {
        capstan_timer_start(self, PATIENCE_US, NULL);
    }
}

static capstan_err_t customer_init(capstan_actor_t *self, void *argument)
{
    (void)argument;
    pay(self);
    return CAPSTAN_OK;
}

static void customer_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)timer;
    (void)cookie;
    pay(self);
}

static capstan_err_t customer_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    uint32_t node;
    capstan_simulation_t *world = capstan_simulation_of(capstan_actor_node(self), &node);
    note_t note = load(world, node);
    capstan_err_t err;
    if (!capstan_message_is_error(message, &err, NULL)) {
        err = save(world, node, (note_t){.last = note.last + 1, .coins = note.coins + 1});
    }
    pay(self);
    return CAPSTAN_OK;
}

static capstan_err_t start_customer(capstan_simulation_t *world, uint32_t node, void *context)
{
    static const capstan_behaviour_t customer = {.name = "customer",
                                                 .init = customer_init,
                                                 .timer = customer_timer,
                                                 .receive = customer_receive};
    capstan_ref_t ref;
    (void)context;
    return capstan_node_spawn(capstan_simulation_node(world, node), &customer, NULL, &ref);
}

/* --- the scenario ---------------------------------------------------------------------------- */

/* Two bad seconds, then one in which nothing goes wrong. */
static void scenario(capstan_simulation_t *world, void *careful)
{
    capstan_simulation_add_node(
        world, &(capstan_simulation_node_t){.name = "home", .start = start_customer});
    capstan_simulation_add_node(
        world,
        &(capstan_simulation_node_t){.name = "shop", .start = start_till, .context = careful});
    capstan_simulation_set_faults(world, &(capstan_simulation_faults_t){
                                             .loss = 100,
                                             .duplicate = 50,
                                             .reorder = 50,
                                             .crash_every_us = SECOND_US / 10,
                                             .down_us_max = SECOND_US / 20,
                                         });
    if (!capstan_simulation_run(world, 2 * SECOND_US)) {
        return;
    }
    capstan_simulation_heal(world);
    if (!capstan_simulation_run(world, SECOND_US)) {
        return;
    }
    uint64_t paid = load(world, CUSTOMER).coins;
    uint64_t counted = load(world, TILL).coins;
    if (paid != COINS || counted != paid) {
        capstan_simulation_fail(world, "once",
                                "%" PRIu64 " coins were paid, %" PRIu64 " are in the till", paid,
                                counted);
    }
}

int main(void)
{
    static bool careful = true;
    static bool careless = false;
    const uint64_t seeds = 200;
    uint64_t passed = capstan_simulation_check(&(capstan_simulation_check_t){
        .scenario = scenario, .context = &careful, .seeds = seeds, .out = stderr});
    printf("a careful till: %" PRIu64 " of %" PRIu64 " seeds pass\n", passed, seeds);

    passed = capstan_simulation_check(&(capstan_simulation_check_t){
        .scenario = scenario, .context = &careless, .seeds = seeds, .out = stderr});
    printf("a careless till: %s seeds pass\n", passed == seeds ? "all" : "not all");

    capstan_simulation_t *world;
    capstan_err_t err = capstan_simulation_new(
        &(capstan_simulation_options_t){.schedule = "1 loss.1.0.1=1"}, &world);
    if (err != CAPSTAN_OK) {
        fprintf(stderr, "simulated: %s. %s\n", capstan_err_text(err), capstan_err_remedy(err));
        return 1;
    }
    scenario(world, &careless);
    const char *failure = capstan_simulation_failure(world);
    printf("with one lost answer: %s\n", failure ? failure : "all is well");
    capstan_simulation_destroy(&world);
    return 0;
}
