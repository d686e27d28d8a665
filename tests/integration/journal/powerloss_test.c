/* Nothing acknowledged is lost, and no write set is there in part, when the power fails at any
 * instant. The disk of tests/kit/vfs_powerloss.h decides from a seed what of the unsynced writes
 * had reached it. With synchronous=OFF the same suite has to find losses.
 *
 * CAPSTAN_FULL=1: 1,000 instants, otherwise 60. CAPSTAN_SEED: the seed of the first; each failure
 * names the seed that repeats it alone, with CAPSTAN_INSTANTS=1. */
#include "tests/integration/journal/store_fixture.h"
#include "runtime/simulation/random.h"
#include "tests/kit/vfs_powerloss.h"

#include <inttypes.h>
#include <time.h>

enum {
    STREAMS = 4,
    KEYS = 6,
    INSTANTS = 60,
    INSTANTS_FULL = 1000,
    COMMITS_MAX = 120,
    RECORDS_MAX = 24,
    RECORD_BYTES_MAX = 1500,
    LIVES = 3, /* of one disk, each ended by a loss of power */
};

/* What the store holds; what each record and row is follows from seed, stream and number. */
typedef struct model {
    struct {
        uint64_t lsn_first;
        uint64_t lsn_next;
        uint64_t snapshot_lsn;
        uint64_t versions[KEYS]; /* of snapshot rows; 0: there is none */
    } streams[STREAMS];
} model_t;

typedef struct trial {
    uint64_t seed;
    bool synchronous_off;
    random_source_t random;
    powerloss_t *disk;
    char path[96];
    store_t *store;
    stream_opened_t streams[STREAMS];
    uint32_t boot;     /* the last one that was told to be stored */
    model_t stored;    /* acknowledged */
    model_t attempted; /* stored and the write sets of the commit at hand */
} trial_t;

static slice_t record_data(const trial_t *self, int stream, uint64_t lsn, uint8_t *space)
{
    random_source_t random = (random_source_t){.state = self->seed ^ lsn << 8 ^ (uint64_t)stream};
    size_t size = 8 + (size_t)random_below(&random, RECORD_BYTES_MAX - 8);
    uint64_t word = random_next(&random);
    for (size_t i = 0; i < size; i++) {
        space[i] = (uint8_t)(word >> 8 * (i & 7));
    }
    return slice_of(space, size);
}

static slice_t row_key(int key)
{
    static const char *const keys[KEYS] = {"a", "b", "c", "d", "e", "f"};
    return slice_text(keys[key]);
}

static capstan_err_t append_some(trial_t *self, int stream)
{
    uint8_t space[RECORD_BYTES_MAX];
    uint64_t lsn = self->attempted.streams[stream].lsn_next;
    uint32_t count = 1 + (uint32_t)random_below(&self->random, RECORDS_MAX);
    buffer_t records = {0};
    codec_list_writer_t writer = codec_list_begin(&records);
    for (uint32_t i = 0; i < count; i++) {
        journal_record_t record = {.kind = 1, .data = record_data(self, stream, lsn + i, space)};
        codec_list_add(&writer, journal_record_wire(), &record);
    }
    codec_list_end(&writer);
    journal_append_t append = {.stream = self->streams[stream].stream,
                               .epoch = self->streams[stream].epoch,
                               .lsn = lsn,
                               .records = buffer_slice(&records)};
    capstan_err_t err =
        store_append(self->store, &append, &self->attempted.streams[stream].lsn_next);
    buffer_fini(&records);
    return err;
}

/* A snapshot of everything so far; sometimes the log before it is cut off. */
static capstan_err_t snapshot_some(trial_t *self, int stream)
{
    uint64_t lsn = self->attempted.streams[stream].lsn_next;
    int key = (int)random_below(&self->random, KEYS);
    char version[32];
    snprintf(version, sizeof version, "%" PRIu64, lsn);
    buffer_t rows = {0};
    codec_list_writer_t writer = codec_list_begin(&rows);
    snapshot_row_t row = {.key = row_key(key), .value = slice_text(version)};
    buffer_t terms = {0}; /* one that stays and one that changes; the check compares them */
    codec_list_writer_t list = codec_list_begin(&terms);
    codec_list_add(&list, snapshot_term_wire(), &(snapshot_term_t){.term = row.key});
    codec_list_add(&list, snapshot_term_wire(), &(snapshot_term_t){.term = row.value});
    codec_list_end(&list);
    row.terms = buffer_slice(&terms);
    codec_list_add(&writer, snapshot_row_wire(), &row);
    codec_list_end(&writer);
    buffer_fini(&terms);
    uint64_t number = self->streams[stream].stream;
    uint64_t epoch = self->streams[stream].epoch;
    snapshot_write_t chunk = {
        .stream = number, .epoch = epoch, .lsn = lsn, .last = true, .rows = buffer_slice(&rows)};
    capstan_err_t err = store_snapshot_write(self->store, &chunk);
    buffer_fini(&rows);
    self->attempted.streams[stream].versions[key] = lsn;
    self->attempted.streams[stream].snapshot_lsn = lsn;
    if (!err && random_below(&self->random, 2) == 0) {
        journal_truncate_t truncate = {.stream = number, .epoch = epoch, .lsn = lsn};
        err = store_truncate(self->store, &truncate);
        self->attempted.streams[stream].lsn_first = lsn;
    }
    return err;
}

/* One group commit. True when it was acknowledged. */
static bool commit_some(trial_t *self)
{
    self->attempted = self->stored;
    if (store_begin(self->store)) {
        return false;
    }
    capstan_err_t err = CAPSTAN_OK;
    for (int i = 0; !err && i < STREAMS; i++) {
        uint64_t what = random_below(&self->random, 16);
        if (what < 10) {
            err = append_some(self, i);
        } else if (what == 10) {
            err = snapshot_some(self, i);
        }
    }
    capstan_err_t committed = store_commit(self->store);
    if (err || committed) {
        cr_assert(committed != CAPSTAN_OK, "seed %" PRIu64 ": %s, then committed", self->seed,
                  capstan_err_name(err));
        return false;
    }
    self->stored = self->attempted;
    return true;
}

/* Opens, claims, opens the streams. False when the power failed on the way, or with synchronous=OFF
 * when the store was lost. */
static bool start(trial_t *self)
{
    store_options_t options = {.path = self->path,
                               .vfs = "powerloss",
                               .synchronous_off = self->synchronous_off,
                               .checkpoint_bytes = 256 << 10};
    char text[512] = "";
    capstan_err_t err = store_open(&options, &self->store, text, sizeof text);
    store_identity_t identity;
    if (!err) {
        err = store_claim(self->store, 4711, slice_text("test"), &identity);
    }
    for (int i = 0; !err && i < STREAMS; i++) {
        char instance[32];
        snprintf(instance, sizeof instance, "orders/%d", i);
        err = store_stream_open(self->store, slice_text("ordering"), slice_text(instance),
                                &self->streams[i]);
    }
    if (err) {
        cr_assert(self->synchronous_off || powerloss_failed(self->disk), "seed %" PRIu64 ": %s: %s",
                  self->seed, capstan_err_name(err), text);
        return false;
    }
    if (!self->synchronous_off) {
        cr_assert_gt(identity.boot, self->boot, "seed %" PRIu64 ": a boot came twice", self->seed);
    }
    self->boot = identity.boot;
    return true;
}

static bool log_is(trial_t *self, int stream, uint64_t lsn, uint64_t lsn_end)
{
    buffer_t out = {0};
    bool same = true;
    uint8_t space[RECORD_BYTES_MAX];
    while (same && lsn < lsn_end) {
        buffer_clear(&out);
        journal_read_t read = {
            .stream = self->streams[stream].stream, .lsn = lsn, .bytes_max = 1 << 16};
        journal_records_t reply;
        codec_list_t list;
        same = !store_read(self->store, &read, &out, &reply) && reply.lsn_next > lsn &&
               !codec_list_open(journal_record_wire(), reply.records, &list);
        for (journal_record_t record; same && codec_list_next(&list, &record); lsn++) {
            same = slice_equal(record.data, record_data(self, stream, lsn, space));
        }
    }
    buffer_fini(&out);
    return same && lsn == lsn_end;
}

static bool snapshot_is(trial_t *self, int stream, const uint64_t *versions)
{
    buffer_t out = {0};
    snapshot_read_t read = {.stream = self->streams[stream].stream, .bytes_max = 1 << 20};
    snapshot_rows_t reply;
    codec_list_t list;
    bool same = !store_snapshot_read(self->store, &read, &out, &reply) && reply.end &&
                !codec_list_open(snapshot_row_wire(), reply.rows, &list);
    snapshot_row_t row;
    for (int key = 0; same && key < KEYS; key++) {
        if (versions[key] == 0) {
            continue;
        }
        char version[32];
        snprintf(version, sizeof version, "%" PRIu64, versions[key]);
        same = codec_list_next(&list, &row) && slice_equal(row.key, row_key(key)) &&
               slice_equal(row.value, slice_text(version));
    }
    same = same && !codec_list_next(&list, &row);
    buffer_fini(&out);
    return same;
}

static bool store_is(trial_t *self, const model_t *model)
{
    bool same = true;
    for (int i = 0; same && i < STREAMS; i++) {
        const stream_opened_t *found = &self->streams[i];
        same = found->lsn_first == model->streams[i].lsn_first &&
               found->lsn_next == model->streams[i].lsn_next &&
               found->snapshot_lsn == model->streams[i].snapshot_lsn &&
               log_is(self, i, found->lsn_first, found->lsn_next) &&
               snapshot_is(self, i, model->streams[i].versions);
    }
    return same;
}

/* One life: start, see that everything is there, commit until the power fails. Returns false when
 * something acknowledged was lost, or something unacknowledged is there in part. */
static bool live(trial_t *self)
{
    uint64_t commits = 1 + random_below(&self->random, COMMITS_MAX);
    bool kept = true;
    if (start(self)) {
        if (store_is(self, &self->attempted)) {
            self->stored = self->attempted;
        } else {
            kept = store_is(self, &self->stored);
        }
        store_check_result_t result = {0};
        kept =
            kept && !store_check(self->store, ignore_finding, NULL, &result) && result.faults == 0;
        while (kept && commits > 0 && commit_some(self)) {
            commits--;
        }
    } else if (!powerloss_failed(self->disk)) {
        kept = false; /* the store cannot be opened */
    }
    powerloss_fail_after(self->disk, 0); /* at the latest now: the close is not to save anything */
    store_close(&self->store);
    return kept;
}

/* One disk in several lives, the first from an empty one. Returns the number of lives after which
 * something was lost. */
static int try_disk(trial_t *self, int lives)
{
    self->random = (random_source_t){.state = self->seed};
    self->disk = powerloss_new("powerloss");
    for (int i = 0; i < STREAMS; i++) {
        self->stored.streams[i].lsn_first = 1;
        self->stored.streams[i].lsn_next = 1;
    }
    self->attempted = self->stored;
    int lost = 0;
    for (int life = 0; lost == 0 && life <= lives; life++) {
        /* The scale changes, so that the first steps of a life are hit as often as the later. */
        uint64_t scale = UINT64_C(1) << (3 + random_below(&self->random, 11));
        if (life < lives) {
            powerloss_fail_after(self->disk, random_below(&self->random, scale));
        }
        lost += live(self) ? 0 : 1;
        powerloss_restore(self->disk, random_next(&self->random));
    }
    powerloss_destroy(&self->disk);
    return lost;
}

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* Runs all instants; returns how many disks lost something, and the first one's seed. */
static int try_all(bool synchronous_off, uint64_t *ret_seed)
{
    fixture_t fixture;
    fixture_folder(&fixture); /* for the lock, which is a real file */
    uint64_t full = environment_number("CAPSTAN_FULL", 0);
    uint64_t instants = environment_number("CAPSTAN_INSTANTS", full ? INSTANTS_FULL : INSTANTS);
    uint64_t seed = environment_number("CAPSTAN_SEED", (uint64_t)time(NULL) / 3600 * 10000);
    fprintf(stderr,
            "power loss, synchronous=%s: %" PRIu64 " instants from CAPSTAN_SEED=%" PRIu64 "\n",
            synchronous_off ? "OFF" : "FULL", instants, seed);
    int lost = 0;
    for (uint64_t done = 0; done < instants; done += LIVES, seed++) {
        int lives = (int)(instants - done < LIVES ? instants - done : LIVES);
        trial_t trial = {.seed = seed, .synchronous_off = synchronous_off};
        memcpy(trial.path, fixture.path, sizeof trial.path);
        int more = try_disk(&trial, lives);
        if (more > 0 && lost == 0) {
            *ret_seed = seed;
        }
        lost += more;
    }
    fixture_fini(&fixture);
    return lost;
}

Test(powerloss, keeps_every_acknowledged_commit_and_no_part_of_another, .timeout = 900)
{
    uint64_t seed = 0;
    int lost = try_all(false, &seed);
    cr_assert_eq(lost, 0, "%d disks lost something; the first: CAPSTAN_SEED=%" PRIu64, lost, seed);
}

/* The suite can fail: without syncs it has to find a loss. */
Test(powerloss, is_noticed_when_commits_are_not_synced, .timeout = 900)
{
    uint64_t seed = 0;
    cr_assert_gt(try_all(true, &seed), 0);
}
