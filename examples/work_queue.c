/* A queue that shares out work to a pool of workers, and loses none of it when a worker dies.
 *
 * The queue asks a worker to do a job, one at a time, so that a fast worker gets more of them than
 * a slow one. It monitors its workers (`monitor` in the options of capstan_spawn): of each end it
 * hears once, by a `down`, behind all that the worker has sent. A worker that has not replied by
 * then never will: the queue gives its job to the next one that is free, and starts another worker
 * in its place. So a job is done at least once, and can be begun twice: what it does should bear
 * that.
 *
 * The workers are spread over the node's worker cells, one per core.
 *
 * Here 100 numbers are squared by 4 workers, and whoever gets a multiple of 25 dies of it the first
 * time.
 *
 * It prints:
 *   100 jobs done, the sum of squares is 338350
 *   4 workers died, 4 jobs were given out again */
#include <capstan/node.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MESSAGE_run = 0x8000, /* request to the queue, answered when all jobs are done */
    MESSAGE_square,       /* request to a worker: a job_t; reply: a uint64_t */
    WORKERS = 4,
    JOBS = 100,
    JOB_TIMEOUT_US = 10 * 1000000,
};

typedef struct job {
    uint64_t number;
    uint64_t attempt; /* 1: for the first time */
} job_t;

/* --- the worker ------------------------------------------------------------------------------ */

static capstan_err_t worker_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    job_t job;
    memcpy(&job, message->body.data, sizeof job);
    if (job.number % 25 == 0 && job.attempt == 1) {
        return CAPSTAN_E_INTERNAL; /* a handler that returns an error ends its actor */
    }
    uint64_t square = job.number * job.number;
    capstan_reply(self, message, MESSAGE_square, (capstan_slice_t){&square, sizeof square});
    return CAPSTAN_OK;
}

static const capstan_behaviour_t worker_behaviour = {.name = "worker", .receive = worker_receive};

/* --- the queue ------------------------------------------------------------------------------- */

typedef struct place {
    capstan_ref_t worker;
    bool busy;
    job_t job; /* what it is busy with */
    uint64_t ask;
} place_t;

typedef struct queue {
    capstan_message_t run;
    place_t places[WORKERS];
    uint64_t next;        /* the first job that was never given out */
    job_t again[WORKERS]; /* jobs to be given out again: at most one per worker */
    size_t again_count;
    uint64_t done;
    uint64_t sum;
    uint64_t died;
    uint64_t repeated;
} queue_t;

static bool take_job(queue_t *queue, job_t *ret_job)
{
    if (queue->again_count > 0) {
        *ret_job = queue->again[--queue->again_count];
        ret_job->attempt++;
        queue->repeated++;
        return true;
    }
    if (queue->next == 0 || queue->next > JOBS) {
        return false;
    }
    *ret_job = (job_t){.number = queue->next++, .attempt = 1};
    return true;
}

static capstan_err_t start_worker(capstan_actor_t *self, place_t *place)
{
    place->busy = false;
    return capstan_spawn(
        self, &worker_behaviour,
        &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_SPREAD, .monitor = true},
        &place->worker);
}

/* Gives jobs to the workers that are free. The asks are made on behalf of main's request, so that
 * nothing goes on when main gives up. One that fails finds a worker that has just ended: its job
 * comes back with its `down`. */
static void share_out(capstan_actor_t *self, queue_t *queue)
{
    for (size_t i = 0; i < WORKERS; i++) {
        place_t *place = &queue->places[i];
        if (!place->busy && take_job(queue, &place->job)) {
            place->busy = true;
            (void)!capstan_ask_for(self, &queue->run, place->worker, MESSAGE_square,
                                   (capstan_slice_t){&place->job, sizeof place->job},
                                   JOB_TIMEOUT_US, &place->ask);
        }
    }
}

static void on_answer(capstan_actor_t *self, queue_t *queue, const capstan_message_t *message)
{
    size_t i = 0;
    while (i < WORKERS && queue->places[i].ask != message->correlation) {
        i++;
    }
    capstan_err_t err;
    if (i == WORKERS) {
        return;
    }
    if (!capstan_message_is_error(message, &err, NULL)) {
        uint64_t square;
        memcpy(&square, message->body.data, sizeof square);
        queue->sum += square;
        queue->done++;
        queue->places[i].busy = false;
    } else if (err == CAPSTAN_E_TIMEOUT) {
        (void)!capstan_stop(self, queue->places[i].worker, 0); /* it is stuck */
    }
}

static capstan_err_t on_down(capstan_actor_t *self, queue_t *queue, capstan_ref_t worker)
{
    size_t i = 0;
    while (i < WORKERS && !capstan_ref_equal(queue->places[i].worker, worker)) {
        i++;
    }
    if (i == WORKERS) {
        return CAPSTAN_OK;
    }
    queue->died++;
    if (queue->places[i].busy) {
        queue->again[queue->again_count++] = queue->places[i].job;
    }
    return start_worker(self, &queue->places[i]);
}

static capstan_err_t queue_init(capstan_actor_t *self, void *argument)
{
    queue_t *queue = argument;
    capstan_err_t err = CAPSTAN_OK;
    capstan_actor_set_state(self, queue);
    for (size_t i = 0; i < WORKERS && err == CAPSTAN_OK; i++) {
        err = start_worker(self, &queue->places[i]);
    }
    return err;
}

static capstan_err_t queue_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    queue_t *queue = capstan_actor_state(self);
    capstan_ref_t worker;
    capstan_err_t reason;
    capstan_err_t err = CAPSTAN_OK;
    if (capstan_message_is_down(message, &worker, &reason)) {
        err = on_down(self, queue, worker);
    } else if (message->message == MESSAGE_run) {
        queue->run = *message;
        queue->next = 1;
    } else {
        on_answer(self, queue, message);
    }
    share_out(self, queue);
    if (queue->done == JOBS) {
        capstan_reply(self, &queue->run, MESSAGE_run, (capstan_slice_t){0});
    }
    return err;
}

int main(void)
{
    static const capstan_behaviour_t behaviour = {
        .name = "queue", .init = queue_init, .receive = queue_receive};
    queue_t queue = {.done = 0};
    capstan_node_t *node;
    capstan_ref_t ref;
    capstan_err_t err = capstan_node_new(NULL, &node);
    if (err != CAPSTAN_OK ||
        (err = capstan_node_spawn(node, &behaviour, &(capstan_spawn_options_t){.argument = &queue},
                                  &ref)) != CAPSTAN_OK ||
        (err = capstan_node_ask(node, ref, MESSAGE_run, (capstan_slice_t){0}, 60 * 1000000, NULL,
                                NULL)) != CAPSTAN_OK ||
        (err = capstan_node_stop(&node, 10 * 1000000, NULL, NULL)) != CAPSTAN_OK) {
        fprintf(stderr, "work_queue: %s. %s\n", capstan_err_text(err), capstan_err_remedy(err));
        return 1;
    }
    printf("%" PRIu64 " jobs done, the sum of squares is %" PRIu64 "\n", queue.done, queue.sum);
    printf("%" PRIu64 " workers died, %" PRIu64 " jobs were given out again\n", queue.died,
           queue.repeated);
    return 0;
}
