#include "runtime/watchdog.h"

#include "runtime/backtrace.h"
#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"
#include "runtime/base/thread.h"
#include "runtime/interrupt.h"
#include "runtime/node_internal.h"
#include "runtime/progress.h"
#include "runtime/runtime_events.h"
#include "runtime/runtime_metrics.h"
#include "runtime/takeover.h"
#include "runtime/telemetry/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LOOKS_PER_LIMIT = 2,
    LOOKS_ASLEEP = 100,       /* that find every cell asleep, before it sleeps too */
    PASSED_FACTOR_MAX = 4,    /* intervals of looks; more has passed only while the process stood */
    INTERVAL_US_MAX = 100000, /* by what pulse.h promises */
    REPORT_US = 1000000,
    ASK_US = 1000000, /* after a thread did not answer, until it is asked again */
    STACK_BYTES = 256 << 10,
    NAME_SIZE = 64,
};

/* A thread that is watched. */
typedef struct watched {
    struct watched *next;
    cell_t *cell;
    cell_thread_t *runner; /* NULL: the host's thread, which has the cell for ever */
    const pulse_t *pulse;
    pthread_t thread;
    pid_t id;
    progress_t progress;
    int64_t ran_ns;        /* on a core, at the last look that found a handler */
    int64_t since_ns;      /* when its handler was seen first */
    int64_t ran_before_ns; /* what it had run then */
    int64_t ask_us;        /* not before then is it asked for its cell again */
    bool kept_told;
} watched_t;

struct watchdog {
    capstan_node_t *node;
    progress_limits_t limits;
    int64_t interval_us;
    bool hung_stays;
    bool interrupts; /* threads can be asked where they are, and for their cells */
    pthread_t thread;
    pthread_mutex_t mutex; /* everything below */
    pthread_cond_t changed;
    watched_t *list;
    uint32_t idle_looks;
    bool ending;
    /* Dekker's pattern, as in cell_wake: the watchdog stores `dozing` and then looks whether all
     * sleep; a cell stores its turn and then looks whether the watchdog does. */
    _Atomic bool dozing;
};

/* --- what the system knows about a thread ----------------------------------------------------- */

static int64_t ran_ns(const watched_t *watched)
{
    clockid_t clock;
    return pthread_getcpuclockid(watched->thread, &clock) == 0 ? clock_ns(clock) : 0;
}

/* Whether it runs or waits for a core to run on, so that it does not wait for anything else. */
static bool wants_a_core(const watched_t *watched)
{
    char path[64];
    char text[128];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)watched->id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0) {
        close(fd);
    }
    text[size > 0 ? size : 0] = 0;
    const char *name_end = strrchr(text, ')'); /* a name may hold anything */
    return name_end && name_end[1] == ' ' && name_end[2] == 'R';
}

/* What of `passed_us` is the handler's own time: a thread that was driven off its core by others,
 * or had to wait for one, spends less than what the clock says. */
static int64_t own_time(watched_t *watched, uint64_t handler, int64_t passed_us)
{
    if (handler == 0) {
        return passed_us;
    }
    int64_t before_ns = watched->ran_ns;
    watched->ran_ns = ran_ns(watched);
    if (handler != watched->progress.handler) {
        watched->since_ns = clock_ns(CLOCK_MONOTONIC);
        watched->ran_before_ns = watched->ran_ns;
        return passed_us;
    }
    int64_t ran_us = (watched->ran_ns - before_ns) / 1000;
    return ran_us < passed_us && wants_a_core(watched) ? ran_us : passed_us;
}

/* --- reports --------------------------------------------------------------------------------- */

typedef struct titles {
    char actor[NAME_SIZE];
    char message[NAME_SIZE];
} titles_t;

/* The label is somebody else's: it is copied while the node's mutex keeps it. */
static titles_t find_titles(const watchdog_t *self, const pulse_place_t *place)
{
    titles_t titles = {.actor = "", .message = ""};
    capstan_node_t *node = self->node;
    pthread_mutex_lock(&node->mutex);
    const slot_t *slot = node_slot(node, (uint32_t)place->actor);
    if (slot && atomic_load_explicit(&slot->generation, memory_order_acquire) ==
                    (uint32_t)(place->actor >> 32)) {
        snprintf(titles.actor, sizeof titles.actor, "%s",
                 atomic_load_explicit(&slot->label, memory_order_relaxed));
    }
    pthread_mutex_unlock(&node->mutex);
    const char *message = registry_name(node_registry(node), pulse_message(place->at));
    if (message) {
        snprintf(titles.message, sizeof titles.message, "%s", message);
    } else if (pulse_message(place->at) > 0) {
        snprintf(titles.message, sizeof titles.message, "%u", pulse_message(place->at));
    }
    return titles;
}

static size_t add_frames(watched_t *watched, char texts[][BACKTRACE_TEXT_SIZE], log_field_t *fields)
{
    static const char *const frame_names[BACKTRACE_FRAMES_MAX] = {
        "frame_0",  "frame_1",  "frame_2",  "frame_3",  "frame_4",  "frame_5",
        "frame_6",  "frame_7",  "frame_8",  "frame_9",  "frame_10", "frame_11",
        "frame_12", "frame_13", "frame_14", "frame_15", "frame_16", "frame_17",
        "frame_18", "frame_19", "frame_20", "frame_21", "frame_22", "frame_23"};
    void *frames[BACKTRACE_FRAMES_MAX];
    size_t count = backtrace_take(watched->thread, watched->id, frames);
    for (size_t i = 0; i < count; i++) {
        backtrace_describe(frames, i, texts[i]);
        fields[i] = log_string(frame_names[i], texts[i]);
    }
    return count;
}

/* How much of its time it spent on a core: 0 is a handler that waits, 100 one that computes. */
static uint64_t core_percent(const watched_t *watched)
{
    int64_t passed_ns = clock_ns(CLOCK_MONOTONIC) - watched->since_ns;
    int64_t percent = (watched->ran_ns - watched->ran_before_ns) * 100 / (passed_ns + 1);
    return percent < 0 ? 0 : percent > 100 ? 100 : (uint64_t)percent;
}

static void report_stall(watchdog_t *self, watched_t *watched, const pulse_place_t *place,
                         const progress_news_t *news)
{
    titles_t titles = find_titles(self, place);
    log_field_t fields[BACKTRACE_FRAMES_MAX + 10] = {
        log_string("actor", titles.actor),
        log_string("cell", watched->cell->name),
        log_string("handler", handler_name(pulse_handler(place->at))),
        log_string("message", titles.message),
        log_int("for_us", news->age_us),
        log_uint("core_percent", core_percent(watched)),
        log_uint("untold", news->untold),
    };
    size_t count = 7;
    char texts[BACKTRACE_FRAMES_MAX][BACKTRACE_TEXT_SIZE];
    if (self->interrupts) {
        count += add_frames(watched, texts, fields + count);
    }
    fields[count] = LOG_END;
    log_write(&runtime_events[EVENT_runtime_cell_stalled], fields);
}

static void report_end(const watched_t *watched, const progress_news_t *news)
{
    LOG(runtime, cell_went_on, log_string("cell", watched->cell->name),
        log_int("for_us", news->age_us));
}

static void count_state(cell_state_t state, int amount)
{
    METRIC_ADD(runtime, cells_busy, state == CELL_STATE_busy ? amount : 0);
    METRIC_ADD(runtime, cells_hung, state == CELL_STATE_hung ? amount : 0);
    METRIC_ADD(runtime, cells_dead, state == CELL_STATE_dead ? amount : 0);
}

/* --- cells that are taken over ---------------------------------------------------------------- */

static void report_takeover(const watched_t *watched, const pulse_place_t *place,
                            const titles_t *titles)
{
    METRIC_ADD(runtime, cells_taken_over, 1);
    LOG(runtime, cell_taken_over, log_string("cell", watched->cell->name),
        log_string("state", cell_state_name(watched->progress.state)),
        log_string("actor", titles->actor),
        log_string("handler", handler_name(pulse_handler(place->at))),
        log_string("message", titles->message), log_int("for_us", watched->progress.age_us));
}

/* Once for each handler. */
static void report_kept(watched_t *watched, const char *why)
{
    if (!watched->kept_told) {
        watched->kept_told = true;
        LOG(runtime, cell_kept, log_string("cell", watched->cell->name),
            log_string("state", cell_state_name(watched->progress.state)), log_string("why", why));
    }
}

/* False as long as the thread may touch the cell. */
static bool is_without_thread(watchdog_t *self, watched_t *watched, uint32_t number, int64_t now_us)
{
    cell_thread_state_t state = cell_thread_state(watched->runner);
    if (state == CELL_THREAD_DIED || state == CELL_THREAD_LOST) {
        return true;
    }
    if (state == CELL_THREAD_BROKE) {
        report_kept(watched, "its thread ended in the runtime's own code");
        return false;
    }
    if (!self->interrupts) {
        report_kept(watched, "there is no signal to ask its thread by");
        return false;
    }
    if (now_us < watched->ask_us) {
        return false;
    }
    takeover_t answer = takeover_ask(watched->runner, watched->thread, watched->id, number);
    if (answer == TAKEOVER_SILENCE) {
        watched->ask_us = now_us + ASK_US;
        report_kept(watched, "its thread does not answer");
    }
    METRIC_ADD(runtime, threads_lost, answer == TAKEOVER_LOST);
    return answer == TAKEOVER_LOST;
}

/* True when another thread has the cell, and will be watched. */
static bool take_over(watchdog_t *self, watched_t *watched, const pulse_place_t *place,
                      int64_t now_us)
{
    if (!watched->runner) {
        report_kept(watched, "the host's thread runs it");
        return false;
    }
    titles_t titles = find_titles(self, place);
    if (!is_without_thread(self, watched, pulse_number(place->at), now_us)) {
        return false;
    }
    if (self->node->platform->cell_start(watched->cell) != CAPSTAN_OK) {
        report_kept(watched, "there is no thread to be had yet");
        return false;
    }
    report_takeover(watched, place, &titles);
    return true;
}

/* --- looking --------------------------------------------------------------------------------- */

static bool has_ended(const watched_t *watched)
{
    return watched->runner && atomic_load_explicit(&watched->runner->ended, memory_order_acquire);
}

/* True when this thread is not to be watched any more. */
static bool look_at(watchdog_t *self, watched_t *watched, int64_t now_us, int64_t passed_us)
{
    pulse_place_t place;
    bool still = pulse_read(watched->pulse, &place);
    int64_t turn_us = atomic_load_explicit(&watched->pulse->turn_us, memory_order_acquire);
    bool runs = still && pulse_phase(place.at) == PULSE_HANDLER;
    progress_look_t look = {
        .ended = has_ended(watched),
        .handler = runs ? pulse_number(place.at) + 1 : 0, /* never 0 */
        .turn_us = turn_us > 0 ? now_us - turn_us : 0,
    };
    look.passed_us = look.ended ? passed_us : own_time(watched, look.handler, passed_us);
    if (!look.ended && look.handler != watched->progress.handler) {
        watched->kept_told = false;
    }
    cell_state_t before = watched->progress.state;
    uint64_t stalls = watched->progress.stalls;
    progress_news_t news = progress_look(&watched->progress, &self->limits, &look);
    METRIC_ADD(runtime, stalls, watched->progress.stalls - stalls);
    if (watched->progress.state != before) {
        count_state(before, -1);
        count_state(watched->progress.state, 1);
    }
    if (news.event == PROGRESS_STALLED) {
        report_stall(self, watched, &place, &news);
    } else if (news.event == PROGRESS_WENT_ON && !look.ended) {
        report_end(watched, &news);
    }
    bool hung = watched->progress.state == CELL_STATE_hung && runs && !self->hung_stays;
    return (hung || look.ended) && take_over(self, watched, &place, now_us);
}

static void forget(watched_t **link)
{
    watched_t *watched = *link;
    *link = watched->next;
    METRIC_ADD(runtime, cells, -1);
    count_state(watched->progress.state, -1);
    free(watched);
}

static bool all_asleep(const watchdog_t *self)
{
    for (const watched_t *watched = self->list; watched; watched = watched->next) {
        if (atomic_load_explicit(&watched->pulse->turn_us, memory_order_seq_cst) != 0) {
            return false;
        }
    }
    return true;
}

/* The mutex is held. */
static void rest(watchdog_t *self)
{
    self->idle_looks = all_asleep(self) ? self->idle_looks + 1 : 0;
    if (self->idle_looks >= LOOKS_ASLEEP) {
        atomic_store_explicit(&self->dozing, true, memory_order_seq_cst);
        atomic_thread_fence(memory_order_seq_cst);
        while (!self->ending && all_asleep(self)) {
            pthread_cond_wait(&self->changed, &self->mutex);
        }
        atomic_store_explicit(&self->dozing, false, memory_order_relaxed);
        self->idle_looks = 0;
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += self->interval_us * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&self->changed, &self->mutex, &until);
}

static void *watch(void *argument)
{
    watchdog_t *self = argument;
    pthread_mutex_lock(&self->mutex);
    int64_t last_us = clock_us(CLOCK_MONOTONIC);
    while (!self->ending) {
        rest(self);
        int64_t now_us = clock_us(CLOCK_MONOTONIC);
        int64_t most_us = self->interval_us * PASSED_FACTOR_MAX;
        int64_t passed_us = now_us - last_us < most_us ? now_us - last_us : most_us;
        for (watched_t **link = &self->list; *link;) {
            if (look_at(self, *link, now_us, passed_us)) {
                forget(link);
            } else {
                link = &(*link)->next;
            }
        }
        last_us = now_us;
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------ */

static void destroy(watchdog_t *self)
{
    if (self->interrupts) {
        interrupt_close();
    }
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

capstan_err_t watchdog_start(capstan_node_t *node, watchdog_t **ret_watchdog)
{
    const capstan_node_options_t *options = node_options(node);
    watchdog_t *self = calloc(1, sizeof *self);
    if (!self) {
        return CAPSTAN_E_NO_MEMORY;
    }
    self->node = node;
    self->hung_stays = options->hung_stays;
    self->limits = (progress_limits_t){.stall_us = (int64_t)options->turn_ms_max * 1000,
                                       .hung_us = (int64_t)options->hung_ms * 1000,
                                       .report_us = REPORT_US};
    int64_t shorter_us =
        self->limits.stall_us < self->limits.hung_us ? self->limits.stall_us : self->limits.hung_us;
    self->interval_us = shorter_us / LOOKS_PER_LIMIT;
    if (self->interval_us > INTERVAL_US_MAX) {
        self->interval_us = INTERVAL_US_MAX;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&self->mutex, NULL);
    self->interrupts = options->stall_signal >= 0 && interrupt_open(options->stall_signal);
    backtrace_prepare();
    thread_options_t thread = {
        .name = "watchdog", .stack_bytes = STACK_BYTES, .run = watch, .argument = self};
    if (!thread_start(&thread, &self->thread)) {
        destroy(self);
        return CAPSTAN_E_NO_THREAD;
    }
    *ret_watchdog = self;
    return CAPSTAN_OK;
}

void watchdog_stop(watchdog_t **self_p)
{
    watchdog_t *self = *self_p;
    if (!self) {
        return;
    }
    pthread_mutex_lock(&self->mutex);
    self->ending = true;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    destroy(self);
    *self_p = NULL;
}

void watchdog_add(watchdog_t *self, cell_t *cell, cell_thread_t *runner)
{
    if (!self) {
        return;
    }
    watched_t *watched = calloc(1, sizeof *watched);
    ENSURE(watched);
    watched->cell = cell;
    watched->runner = runner;
    watched->pulse = cell->pulse;
    watched->thread = pthread_self();
    watched->id = (pid_t)syscall(SYS_gettid);
    METRIC_ADD(runtime, cells, 1);
    pthread_mutex_lock(&self->mutex);
    watched->next = self->list;
    self->list = watched;
    pthread_mutex_unlock(&self->mutex);
}

void watchdog_remove(watchdog_t *self, const cell_t *cell)
{
    if (!self) {
        return;
    }
    pthread_mutex_lock(&self->mutex);
    watched_t **link = &self->list;
    while (*link && (*link)->cell != cell) {
        link = &(*link)->next;
    }
    ENSURE(*link);
    forget(link);
    pthread_mutex_unlock(&self->mutex);
}

void watchdog_awake(watchdog_t *self, pulse_t *pulse, int64_t now_us)
{
    atomic_store_explicit(&pulse->turn_us, now_us, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
    if (self && atomic_load_explicit(&self->dozing, memory_order_seq_cst)) {
        pthread_mutex_lock(&self->mutex);
        pthread_cond_signal(&self->changed);
        pthread_mutex_unlock(&self->mutex);
    }
}

/* --- figures --------------------------------------------------------------------------------- */

static void show(const watchdog_t *self, const watched_t *watched, cell_figures_fn *each,
                 void *context)
{
    const progress_t *progress = &watched->progress;
    cell_figures_t figures = {.name = watched->cell->name,
                              .state = cell_state_name(progress->state),
                              .stalls = progress->stalls,
                              .actor = "",
                              .handler = "",
                              .message = ""};
    titles_t titles;
    pulse_place_t place;
    if (progress->counted && pulse_read(watched->pulse, &place) &&
        pulse_number(place.at) + 1 == progress->handler) {
        titles = find_titles(self, &place);
        figures.actor = titles.actor;
        figures.handler = handler_name(pulse_handler(place.at));
        figures.message = titles.message;
        figures.handler_us = progress->age_us;
    }
    each(context, &figures);
}

void node_cells(capstan_node_t *node, cell_figures_fn *each, void *context)
{
    pthread_mutex_lock(&node->mutex);
    watchdog_t *self = node->watchdog; /* from the first cell on there is one */
    pthread_mutex_unlock(&node->mutex);
    if (!self) {
        return;
    }
    pthread_mutex_lock(&self->mutex);
    for (const watched_t *watched = self->list; watched; watched = watched->next) {
        show(self, watched, each, context);
    }
    pthread_mutex_unlock(&self->mutex);
}
