/* A saga: an order takes three steps at a participant, all of which are done, or what was done is
 * undone again; and that holds whatever is killed in between.
 *
 * Every step is on disk before the next one begins, and the participant's inbox sees to it that
 * each has its effect once. Here one handler does all three, in the same process; it refuses to
 * charge for the second order. examples/participant.c is one in a process of its own.
 *
 * It prints:
 *   1: reserve
 *   1: charge
 *   1: ship
 *   order 1 is done
 *   2: reserve
 *   2: release
 *   order 2 is undone */
#include <capstan/participant.h>
#include <capstan/saga.h>
#include <capstan/topic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const capstan_saga_step_t steps[] = {
    {.name = "a", .participant = "shop", .action = "reserve", .compensation = "release"},
    {.name = "b", .participant = "shop", .action = "charge", .compensation = "refund"},
    {.name = "c", .participant = "shop", .action = "ship", .kind = CAPSTAN_STEP_RETRIABLE}};

static capstan_err_t work(void *context, const capstan_command_t *command, capstan_answer_t *answer)
{
    const char *order = command->saga.data;
    (void)context;
    if (order[0] == '2' && memcmp(command->action.data, "charge", command->action.size) == 0) {
        capstan_answer_failed_for_good(answer, "NO_MONEY", "the card was refused");
        return CAPSTAN_OK;
    }
    printf("%c: %.*s\n", order[0], (int)command->action.size, (const char *)command->action.data);
    return CAPSTAN_OK;
}

static capstan_err_t run(capstan_node_t *node, const char *id)
{
    capstan_saga_end_t end = {.state = CAPSTAN_SAGA_RUNNING};
    capstan_err_t err =
        capstan_saga_start(node, &(capstan_saga_start_t){.definition = "order", .id = id}, NULL);
    err = err ? err : capstan_saga_result(node, id, 60000000, &end);
    printf("order %s is %s\n", id, end.state == CAPSTAN_SAGA_COMPLETED ? "done" : "undone");
    capstan_saga_end_fini(&end);
    return err;
}

int main(void)
{
    char folder[] = "/tmp/capstan-saga-XXXXXX";
    char text[256] = "";
    capstan_node_t *node;
    capstan_participant_t *shop = NULL;
    if (!mkdtemp(folder) || chdir(folder) != 0) {
        return 1;
    }
    capstan_err_t err = capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &node);
    err = err ? err
              : capstan_topics_open(node, &(capstan_topics_options_t){.path = "shop.db"}, text,
                                    sizeof text);
    err = err ? err
              : capstan_participant_start(node,
                                          &(capstan_participant_options_t){
                                              .name = "shop", .handle = work, .path = "effects.db"},
                                          &shop, text, sizeof text);
    err = err ? err : capstan_saga_define_steps(node, "order", 1, steps, 3, text, sizeof text);
    err = err ? err : run(node, "1");
    err = err ? err : run(node, "2");
    capstan_err_t stopped = capstan_node_stop(&node, 10000000, NULL, NULL);
    capstan_err_t ended = capstan_participant_stop(&shop, 10000000);
    err = err ? err : stopped ? stopped : ended;
    if (err != CAPSTAN_OK) {
        fprintf(stderr, "saga: %s. %s %s\n", capstan_err_text(err), capstan_err_remedy(err), text);
    }
    static const char *const files[] = {"shop.db",       "shop.db-wal", "shop.db-shm",
                                        "shop.db-lock",  "effects.db",  "effects.db-wal",
                                        "effects.db-shm"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        unlink(files[i]);
    }
    rmdir(folder);
    return err == CAPSTAN_OK ? 0 : 1;
}
