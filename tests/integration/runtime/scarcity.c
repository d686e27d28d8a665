/* A process that runs out of descriptors or of threads. Whatever is done with a node then succeeds,
 * or is refused with the error that says what there is none of; it never aborts and never waits;
 * nothing is left behind, what runs goes on, and all is well again when there is room.
 *
 *   usage: scarcity
 *
 * Each scenario runs once for each number of descriptors, and of threads, that are to be had: from
 * none to more than it wants, in a process of its own. The threads are counted by a pthread_create
 * that stands before the system's, libzmq's included: the system's own limits do not bind root. */
#include "brokers/peer/peer.h"
#include "runtime/base/ensure.h"

#include <capstan/keyed.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LEFT_MAX = 100, /* more than any scenario wants */
    WORKS_ENOUGH = 3,
    CHILD_S = 120, /* against waiting for ever */
    FDS_MAX = 256,
    RELAYS = 6,
    STOP_US = 30000000,
    ASK_US = 30000000,
    CONNECT_US = 20000,
    HUNG_MS = 20,
    LONG_US = 3000000, /* much more than it takes to find a cell that hangs */
};

/* --- what runs out --------------------------------------------------------------------------- */

typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

typedef struct start {
    void *(*run)(void *argument);
    void *argument;
} start_t;

static _Atomic unsigned threads; /* that run, but the first */
static _Atomic unsigned threads_max = UINT_MAX;

static void count_out(void *unused)
{
    (void)unused;
    threads--;
}

static void *run_counted(void *argument)
{
    start_t start = *(start_t *)argument;
    void *result;
    free(argument);
    pthread_cleanup_push(count_out, NULL);
    result = start.run(start.argument);
    pthread_cleanup_pop(1);
    return result;
}

int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                   void *(*run)(void *argument), void *argument)
{
    create_fn *create;
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
    start_t *start = malloc(sizeof *start);
    int rc = EAGAIN;
    ENSURE(create && start);
    *start = (start_t){run, argument};
    if (threads++ < threads_max) {
        rc = create(ret_thread, attributes, run_counted, start);
    }
    if (rc != 0) {
        threads--;
        free(start);
    }
    return rc;
}

static unsigned count_fds(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < FDS_MAX; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void limit_fds(unsigned fds)
{
    struct rlimit limit;
    ENSURE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = fds;
    ENSURE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void leave_fds(unsigned left)
{
    limit_fds(count_fds() + left);
}

static void leave_threads(unsigned left)
{
    threads_max = left;
}

static void lift(void)
{
    limit_fds(FDS_MAX);
    threads_max = UINT_MAX;
}

/* --- scenarios: the first error, or CAPSTAN_OK ----------------------------------------------- */

enum {
    MESSAGE_pass = 0x8000, /* request: asks the actor whose reference it holds, then answers */
    MESSAGE_echo,          /* request */
    MESSAGE_start,         /* request: spawns an actor on a cell of its own, answers with it */
    MESSAGE_hang,          /* until the gate opens */
};

static sem_t gate;

static void start_relay(capstan_actor_t *self, const capstan_message_t *message);

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    static _Thread_local capstan_message_t request; /* one at a time, each on its own thread */
    capstan_err_t err;
    uint64_t correlation;
    if (capstan_message_is_error(message, &err, NULL)) {
        capstan_reply_error(self, &request, err, NULL);
    } else if (message->kind == CAPSTAN_KIND_REPLY) {
        capstan_reply(self, &request, MESSAGE_pass, (capstan_slice_t){0});
    } else if (message->message == MESSAGE_pass) {
        capstan_ref_t next;
        request = *message;
        memcpy(&next, message->body.data, sizeof next);
        ENSURE(capstan_ask(self, next, MESSAGE_echo, (capstan_slice_t){0}, ASK_US, &correlation) ==
               CAPSTAN_OK);
    } else if (message->message == MESSAGE_echo) {
        capstan_reply(self, message, MESSAGE_echo, (capstan_slice_t){0});
    } else if (message->message == MESSAGE_start) {
        start_relay(self, message);
    } else {
        while (sem_wait(&gate) != 0) {
        }
    }
    return CAPSTAN_OK;
}

static const capstan_behaviour_t relay = {.name = "relay", .receive = receive};
static const capstan_spawn_options_t own = {.placement = CAPSTAN_PLACE_OWN};

static void start_relay(capstan_actor_t *self, const capstan_message_t *message)
{
    capstan_ref_t ref;
    capstan_err_t err = capstan_spawn(self, &relay, &own, &ref);
    if (err == CAPSTAN_OK) {
        capstan_reply(self, message, MESSAGE_start, (capstan_slice_t){&ref, sizeof ref});
    } else {
        capstan_reply_error(self, message, err, NULL);
    }
}

/* By the first relay, or from outside. */
static capstan_err_t spawn(capstan_node_t *node, capstan_ref_t *relays, size_t count)
{
    if (count % 2 == 0) {
        return capstan_node_spawn(node, &relay, &own, &relays[count]);
    }
    void *body;
    size_t size;
    capstan_err_t err = capstan_node_ask(node, relays[0], MESSAGE_start, (capstan_slice_t){0},
                                         ASK_US, &body, &size);
    if (err == CAPSTAN_OK) {
        memcpy(&relays[count], body, sizeof relays[count]);
        free(body);
    }
    return err;
}

/* Each asks the next, so that each cell sends to another for the first time. */
static void pass_round(capstan_node_t *node, const capstan_ref_t *relays, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        capstan_slice_t next = {&relays[(i + 1) % count], sizeof *relays};
        ENSURE(capstan_node_ask(node, relays[i], MESSAGE_pass, next, ASK_US, NULL, NULL) ==
               CAPSTAN_OK);
    }
}

static void stop(capstan_node_t **node)
{
    ENSURE(capstan_node_stop(node, STOP_US, NULL, NULL) == CAPSTAN_OK);
}

static capstan_err_t run_relays(bool with_room_again)
{
    capstan_node_t *node;
    capstan_ref_t relays[RELAYS + 1];
    size_t count = 0;
    capstan_err_t first = capstan_node_new(NULL, &node);
    if (first != CAPSTAN_OK) {
        return first;
    }
    for (int i = 0; i < RELAYS; i++) {
        capstan_err_t err = spawn(node, relays, count);
        count += err == CAPSTAN_OK;
        first = first ? first : err;
        pass_round(node, relays, count);
    }
    if (with_room_again) {
        lift();
        ENSURE(spawn(node, relays, count) == CAPSTAN_OK);
        pass_round(node, relays, count + 1);
    }
    stop(&node);
    return first;
}

static capstan_err_t cells(void)
{
    return run_relays(false);
}

static capstan_err_t room_again(void)
{
    return run_relays(true);
}

static capstan_err_t host(void)
{
    capstan_node_t *node;
    capstan_ref_t ref;
    capstan_err_t err = capstan_node_new(&(capstan_node_options_t){.host_cell = "loop"}, &node);
    if (err == CAPSTAN_OK) {
        ENSURE(capstan_node_spawn(node, &relay, &(capstan_spawn_options_t){.cell = "loop"}, &ref) ==
               CAPSTAN_OK);
        pass_round(node, &ref, 1);
        stop(&node);
    }
    return err;
}

/* What could not be made can be made later, under the same name. */
static capstan_err_t keyed(void)
{
    const capstan_keyed_options_t options = {.name = "relays", .behaviour = &relay};
    capstan_node_t *node;
    capstan_keyed_t *relays;
    capstan_err_t err = capstan_node_new(&(capstan_node_options_t){.workers = 3}, &node);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = capstan_keyed_new(node, &options, &relays);
    if (err != CAPSTAN_OK) {
        lift();
        ENSURE(capstan_keyed_new(node, &options, &relays) == CAPSTAN_OK);
    }
    ENSURE(capstan_node_keyed_ask(node, relays, capstan_slice_text("a"), MESSAGE_echo,
                                  (capstan_slice_t){0}, ASK_US, NULL, NULL) == CAPSTAN_OK);
    stop(&node);
    return err;
}

static capstan_err_t echo(capstan_node_t *node, capstan_ref_t ref, int64_t timeout_us)
{
    return capstan_node_ask(node, ref, MESSAGE_echo, (capstan_slice_t){0}, timeout_us, NULL, NULL);
}

/* A cell whose handler hangs waits for a thread to take it over, as long as there is none. */
static capstan_err_t takeover(void)
{
    const capstan_spawn_options_t one = {.cell = "one"};
    capstan_node_t *node;
    capstan_ref_t refs[2];
    capstan_err_t err =
        capstan_node_new(&(capstan_node_options_t){.hung_ms = HUNG_MS, .log_fd = -1}, &node);
    if (err != CAPSTAN_OK) {
        return err;
    }
    for (int i = 0; err == CAPSTAN_OK && i < 2; i++) {
        err = capstan_node_spawn(node, &relay, &one, &refs[i]);
    }
    if (err == CAPSTAN_OK) {
        ENSURE(sem_init(&gate, 0, 0) == 0);
        ENSURE(capstan_node_tell(node, refs[0], MESSAGE_hang, (capstan_slice_t){0}) == CAPSTAN_OK);
        err = echo(node, refs[1], LONG_US);
        lift();
        ENSURE(echo(node, refs[1], ASK_US) == CAPSTAN_OK);
        sem_post(&gate);
    }
    stop(&node);
    return err == CAPSTAN_E_TIMEOUT ? CAPSTAN_E_NO_THREAD : err;
}

/* Nobody listens there: with enough of everything it is told so. */
static capstan_err_t peer(void)
{
    peer_t *self;
    char text[512];
    capstan_err_t err = peer_connect(
        &(peer_options_t){.endpoint = "tcp://127.0.0.1:1", .connect_timeout_us = CONNECT_US},
        &(peer_handlers_t){0}, &self, text, sizeof text);
    return err == CAPSTAN_E_TIMEOUT ? CAPSTAN_OK : err;
}

/* --- each for each number -------------------------------------------------------------------- */

static const struct scenario {
    const char *name;
    capstan_err_t (*run)(void);
} scenarios[] = {{"cells", cells}, {"room again", room_again}, {"host", host},
                 {"keyed", keyed}, {"takeover", takeover},     {"peer", peer}};

static const struct lack {
    const char *name;
    void (*leave)(unsigned left);
    capstan_err_t err;
} lacks[] = {{"descriptors", leave_fds, CAPSTAN_E_NO_DESCRIPTOR},
             {"threads", leave_threads, CAPSTAN_E_NO_THREAD}};

/* 0: it worked; 1: it was refused; anything else is wrong. */
static int run_child(const struct scenario *scenario, const struct lack *lack, unsigned left)
{
    closefrom(STDERR_FILENO + 1);
    alarm(CHILD_S);
    unsigned before = count_fds();
    lack->leave(left);
    capstan_err_t err = scenario->run();
    lift();
    if (count_fds() != before || threads > 0) {
        fprintf(stderr, "%u descriptors and %u threads are left\n", count_fds() - before, threads);
        return 3;
    }
    if (err != CAPSTAN_OK && err != lack->err) {
        fprintf(stderr, "%s\n", capstan_err_text(err));
        return 2;
    }
    return err != CAPSTAN_OK;
}

static int run(const struct scenario *scenario, const struct lack *lack, unsigned left)
{
    int status;
    pid_t child = fork();
    ENSURE(child >= 0);
    if (child == 0) {
        exit(run_child(scenario, lack, left));
    }
    ENSURE(waitpid(child, &status, 0) == child);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (code < 0 || code > 1) {
        printf("%s with %u %s: %s %d\n", scenario->name, left, lack->name,
               code < 0 ? "killed by signal" : "ended with", code < 0 ? -code : code);
    }
    return code;
}

/* Until it has worked some times; false when it did anything but work or be refused. */
static bool run_all(const struct scenario *scenario, const struct lack *lack)
{
    unsigned refused = 0;
    unsigned worked = 0;
    for (unsigned left = 0; worked < WORKS_ENOUGH && left < LEFT_MAX; left++) {
        int code = run(scenario, lack, left);
        if (code < 0 || code > 1) {
            return false;
        }
        refused += code == 1;
        worked += code == 0;
    }
    printf("%s: refused with %u numbers of %s, then it worked\n", scenario->name, refused,
           lack->name);
    return refused > 0 && worked == WORKS_ENOUGH;
}

int main(void)
{
    unsigned passed = 0;
    unsigned failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof lacks / sizeof lacks[0]; i++) {
        for (size_t k = 0; k < sizeof scenarios / sizeof scenarios[0]; k++) {
            bool right = run_all(&scenarios[k], &lacks[i]);
            passed += right;
            failed += !right;
        }
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
