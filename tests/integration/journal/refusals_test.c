/* What the store refuses to open, and that a disk's failure is an answer and not an end. */
#include "actors/journal/store_internal.h"
#include "runtime/simulation/random.h"
#include "tests/integration/journal/store_fixture.h"
#include "tests/kit/vfs_powerloss.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

static capstan_err_t try_open(fixture_t *fixture, const char *path)
{
    store_options_t options = {.path = path};
    store_t *store = NULL;
    capstan_err_t err = store_open(&options, &store, fixture->text, sizeof fixture->text);
    cr_assert((err == CAPSTAN_OK) == (store != NULL));
    store_close(&store);
    return err;
}

static void expect_text(const fixture_t *fixture, const char *part)
{
    cr_assert(strstr(fixture->text, part), "\"%s\" does not say \"%s\"", fixture->text, part);
}

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

Test(store_refusal, of_a_store_that_another_node_uses_until_it_ends)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    cr_assert_eq(try_open(&fixture, fixture.path), CAPSTAN_E_STORE_LOCKED);
    expect_text(&fixture, fixture.path);
    expect_text(&fixture, "store.path");
    pid_t child = fork();
    if (child == 0) {
        store_options_t options = {.path = fixture.path};
        store_t *store = NULL;
        _exit(store_open(&options, &store, NULL, 0) == CAPSTAN_E_STORE_LOCKED ? 0 : 1);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    store_close(&fixture.store);
    cr_assert_eq(try_open(&fixture, fixture.path), CAPSTAN_OK);
    fixture_fini(&fixture);
}

Test(store_refusal, of_a_newer_format_changes_nothing)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    store_close(&fixture.store);
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(fixture.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "UPDATE meta SET format = 3", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    cr_assert_eq(try_open(&fixture, fixture.path), CAPSTAN_E_STORE_NEWER);
    expect_text(&fixture, "format 3");
    fixture_fini(&fixture);
}

Test(store_refusal, of_a_store_whose_format_is_lost)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    store_close(&fixture.store);
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(fixture.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "DELETE FROM meta", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    cr_assert_eq(try_open(&fixture, fixture.path), CAPSTAN_E_STORE_CORRUPT);
    fixture_fini(&fixture);
}

Test(store_refusal, of_what_is_no_store_leaves_it_as_it_is)
{
    static const char garbage[] = "this is somebody's letter, which is no database at all; it is "
                                  "longer than the header of a database, so that it is looked at";
    fixture_t fixture;
    fixture_folder(&fixture);
    write_file(fixture.path, garbage, sizeof garbage);
    cr_assert_eq(try_open(&fixture, fixture.path), CAPSTAN_E_STORE_CORRUPT);
    expect_text(&fixture, fixture.path);
    char found[sizeof garbage] = "";
    FILE *file = fopen(fixture.path, "r");
    cr_assert_eq(fread(found, 1, sizeof found, file), sizeof found);
    fclose(file);
    cr_assert_arr_eq(found, garbage, sizeof garbage);

    unlink(fixture.path);
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(fixture.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "CREATE TABLE friends (name)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    cr_assert_eq(try_open(&fixture, fixture.path), CAPSTAN_E_STORE_CORRUPT);
    expect_text(&fixture, "another program");
    fixture_fini(&fixture);
}

Test(store_refusal, of_a_folder_that_is_not_there_names_it)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    char path[128];
    snprintf(path, sizeof path, "%s/none/capstan.db", fixture.folder);
    cr_assert_eq(try_open(&fixture, path), CAPSTAN_E_STORE_IO);
    expect_text(&fixture, path);
    expect_text(&fixture, "create the folder");
    fixture_fini(&fixture);
}

Test(store_refusal, of_names_that_are_no_file)
{
    fixture_t fixture = {.path = ""};
    cr_assert_eq(try_open(&fixture, ""), CAPSTAN_E_INVALID);
    cr_assert_eq(try_open(&fixture, ":memory:"), CAPSTAN_E_INVALID);
    expect_text(&fixture, ":memory:");
}

Test(store_refusal, of_a_reader_without_a_store_does_not_make_one)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    store_options_t options = {.path = fixture.path, .read_only = true};
    store_t *store = NULL;
    cr_assert_eq(store_open(&options, &store, fixture.text, sizeof fixture.text),
                 CAPSTAN_E_STORE_IO);
    expect_text(&fixture, "does not exist");
    cr_assert_neq(access(fixture.path, F_OK), 0);
    fixture_fini(&fixture);
}

/* Root may write everywhere, so the child that tries becomes nobody. */
static int open_as_nobody(fixture_t *fixture)
{
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
            _exit(99);
        }
        store_options_t options = {.path = fixture->path};
        store_t *store = NULL;
        char text[512] = "";
        capstan_err_t err = store_open(&options, &store, text, sizeof text);
        bool good = err == CAPSTAN_E_STORE_PERMISSION && strstr(text, fixture->path) &&
                    strstr(text, "write permission");
        _exit(good ? 0 : 1);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

Test(store_refusal, of_a_folder_or_a_file_that_cannot_be_written)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    cr_assert_eq(chmod(fixture.folder, 0555), 0);
    cr_assert_eq(open_as_nobody(&fixture), 0);
    cr_assert_eq(chmod(fixture.folder, 0777), 0);
    fixture_open(&fixture);
    store_close(&fixture.store);
    char lock[128];
    snprintf(lock, sizeof lock, "%s-lock", fixture.path);
    cr_assert_eq(chmod(lock, 0666), 0);
    cr_assert_eq(chmod(fixture.path, 0444), 0);
    cr_assert_eq(open_as_nobody(&fixture), 0);
    fixture_fini(&fixture);
}

/* A store on the disk in memory. */
static powerloss_t *open_on_disk(fixture_t *fixture)
{
    fixture_folder(fixture);
    powerloss_t *disk = powerloss_new("powerloss");
    store_options_t options = {.path = fixture->path, .vfs = "powerloss"};
    cr_assert_eq(store_open(&options, &fixture->store, NULL, 0), CAPSTAN_OK);
    fixture->stream = fixture_stream(fixture->store, "orders/0");
    return disk;
}

Test(store_failure, of_a_full_disk_refuses_commits_whole_until_there_is_space)
{
    fixture_t fixture;
    powerloss_t *disk = open_on_disk(&fixture);
    powerloss_set_capacity(disk, powerloss_used(disk) + (1 << 20));
    capstan_err_t err;
    while (!(err = append_commit(fixture.store, &fixture.stream, 500))) {
    }
    cr_assert_eq(err, CAPSTAN_E_STORE_FULL);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(append_commit(fixture.store, &fixture.stream, 5000), CAPSTAN_E_STORE_FULL);
    }
    capstan_err_t read_err;
    uint64_t end = fixture.stream.lsn_next;
    cr_assert_eq(read_all(fixture.store, fixture.stream.stream, 1, 1 << 16, &read_err), end - 1);
    cr_assert_eq(read_err, CAPSTAN_OK);

    powerloss_set_capacity(disk, UINT64_MAX);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 500), CAPSTAN_OK);
    cr_assert_eq(read_all(fixture.store, fixture.stream.stream, 1, 1 << 16, &read_err),
                 end - 1 + 500);
    cr_assert_eq(check_store(fixture.store).faults, 0);
    fixture_fini(&fixture);
    powerloss_destroy(&disk);
}

/* A statement that fails in the middle of a transaction; a row that is just over SQLite's limit
 * stands for any reason. What was written before it must not be kept by the commit. */
Test(store_failure, of_an_append_fails_the_commit_that_it_is_part_of)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    buffer_t records = {0};
    make_records(&records, 2, 5000);
    sqlite3_limit(fixture.store->db, SQLITE_LIMIT_LENGTH, (int)records.size);
    buffer_fini(&records);
    cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
    cr_assert_eq(append_at(fixture.store, &fixture.stream, 1, 1), CAPSTAN_OK);
    cr_assert_eq(append_at(fixture.store, &fixture.stream, 2, 5000), CAPSTAN_E_TOO_LARGE);
    cr_assert_eq(append_at(fixture.store, &fixture.stream, 2, 1), CAPSTAN_E_TOO_LARGE);
    cr_assert_eq(store_commit(fixture.store), CAPSTAN_E_TOO_LARGE);
    cr_assert_eq(fixture_stream(fixture.store, "orders/0").lsn_next, 1);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 1), CAPSTAN_OK);
    cr_assert_eq(check_store(fixture.store).records, 1);
    fixture_fini(&fixture);
}

Test(store_failure, of_a_full_disk_at_the_start_is_told)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    powerloss_t *disk = powerloss_new("powerloss");
    powerloss_set_capacity(disk, 10000);
    store_options_t options = {.path = fixture.path, .vfs = "powerloss"};
    cr_assert_eq(store_open(&options, &fixture.store, fixture.text, sizeof fixture.text),
                 CAPSTAN_E_STORE_FULL);
    expect_text(&fixture, fixture.path);
    powerloss_set_capacity(disk, UINT64_MAX);
    cr_assert_eq(store_open(&options, &fixture.store, NULL, 0), CAPSTAN_OK);
    fixture_fini(&fixture);
    powerloss_destroy(&disk);
}

Test(store_failure, of_a_sync_refuses_the_commit_and_the_next_one_works)
{
    fixture_t fixture;
    powerloss_t *disk = open_on_disk(&fixture);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 5), CAPSTAN_OK);
    powerloss_fail_syncs(disk, true);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 5), CAPSTAN_E_STORE_IO);
    powerloss_fail_syncs(disk, false);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 3), CAPSTAN_OK);
    capstan_err_t err;
    cr_assert_eq(read_all(fixture.store, fixture.stream.stream, 1, 1 << 16, &err), 8);
    fixture_fini(&fixture);
    powerloss_destroy(&disk);
}

/* --- damage --- */

static store_check_result_t check_path(fixture_t *fixture)
{
    store_options_t options = {.path = fixture->path, .read_only = true};
    cr_assert_eq(store_open(&options, &fixture->store, NULL, 0), CAPSTAN_OK);
    store_check_result_t result = check_store(fixture->store);
    store_close(&fixture->store);
    return result;
}

/* Changes one byte of the first place in the file where `text` stands. */
static void flip_after(const char *path, const char *text)
{
    int fd = open(path, O_RDWR);
    cr_assert_geq(fd, 0);
    static char bytes[1 << 20];
    ssize_t size = pread(fd, bytes, sizeof bytes, 0);
    cr_assert_gt(size, 0);
    const char *place = memmem(bytes, (size_t)size, text, strlen(text));
    cr_assert_not_null(place);
    char flipped = (char)(*place ^ 0x20);
    cr_assert_eq(pwrite(fd, &flipped, 1, place - bytes), 1);
    close(fd);
}

Test(store_check, finds_a_flipped_byte_of_a_record_and_of_a_snapshot_row)
{
    static const char *const places[] = {"record 17", "the value"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        fixture_t fixture;
        fixture_folder(&fixture);
        fixture_open(&fixture);
        for (int row = 0; row < 10; row++) {
            cr_assert_eq(append_commit(fixture.store, &fixture.stream, 5), CAPSTAN_OK);
        }
        cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
        cr_assert_eq(write_snapshot(fixture.store, &fixture.stream, 5, "key", "the value"),
                     CAPSTAN_OK);
        cr_assert_eq(store_commit(fixture.store), CAPSTAN_OK);
        store_close(&fixture.store);
        store_check_result_t result = check_path(&fixture);
        cr_assert_eq(result.faults, 0);
        cr_assert_eq(result.rows, 10);
        cr_assert_eq(result.records, 50);
        cr_assert_eq(result.snapshot_rows, 1);
        flip_after(fixture.path, places[i]);
        cr_assert_eq(check_path(&fixture).faults, 1, "%s", places[i]);
        fixture_fini(&fixture);
    }
}

/* Each statement damages a healthy store in a way that SQLite itself has nothing against. */
Test(store_check, finds_rows_that_are_missing_misplaced_or_belong_nowhere)
{
    static const char *const damages[] = {
        "DELETE FROM log WHERE lsn = 6",
        "UPDATE log SET lsn = 7 WHERE lsn = 6",
        "UPDATE log SET count = 4 WHERE lsn = 46",
        "UPDATE log SET stream = 2 WHERE lsn = 46",
        "UPDATE log SET segment = 9 WHERE lsn = 46",
        "DELETE FROM span",
        "UPDATE streams SET shard = (shard + 1) % 256",
        "UPDATE streams SET snapshot_lsn = 99",
        "UPDATE streams SET lsn_first = 6",
        "DELETE FROM owners WHERE shard NOT IN (SELECT shard FROM streams) AND shard > 200",
        "INSERT INTO snapshots VALUES (7, x'61', 0, x'62', NULL)",
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        fixture_t fixture;
        fixture_folder(&fixture);
        fixture_open(&fixture);
        for (int row = 0; row < 10; row++) {
            cr_assert_eq(append_commit(fixture.store, &fixture.stream, 5), CAPSTAN_OK);
        }
        store_close(&fixture.store);
        sqlite3 *db;
        cr_assert_eq(sqlite3_open(fixture.path, &db), SQLITE_OK);
        cr_assert_eq(sqlite3_exec(db, damages[i], NULL, NULL, NULL), SQLITE_OK, "%s: %s",
                     damages[i], sqlite3_errmsg(db));
        sqlite3_close(db);
        cr_assert_gt(check_path(&fixture).faults, 0, "%s", damages[i]);
        fixture_fini(&fixture);
    }
}

Test(store_check, answers_damage_of_the_file_itself_with_findings)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    for (int row = 0; row < 50; row++) {
        cr_assert_eq(append_commit(fixture.store, &fixture.stream, 500), CAPSTAN_OK);
    }
    store_close(&fixture.store);
    int fd = open(fixture.path, O_RDWR);
    static uint8_t garbage[16384];
    memset(garbage, 0xa5, sizeof garbage);
    off_t pages = lseek(fd, 0, SEEK_END) / (off_t)sizeof garbage;
    cr_assert_gt(pages, 20);
    for (off_t page = 15; page < pages; page++) {
        cr_assert_eq(pwrite(fd, garbage, sizeof garbage, page * (off_t)sizeof garbage),
                     (ssize_t)sizeof garbage);
    }
    close(fd);
    cr_assert_gt(check_path(&fixture).faults, 0);
    fixture_fini(&fixture);
}

/* Whatever a damaged file says, each call answers: nothing aborts, hangs or takes all memory. */
Test(store_check, survives_any_damage_of_the_file, .timeout = 120)
{
    enum { DAMAGES = 300, FILE_BYTES_MAX = 1 << 20 };
    static uint8_t healthy[FILE_BYTES_MAX], damaged[FILE_BYTES_MAX];
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    for (int row = 0; row < 30; row++) {
        cr_assert_eq(append_commit(fixture.store, &fixture.stream, 40), CAPSTAN_OK);
    }
    store_close(&fixture.store);
    FILE *file = fopen(fixture.path, "r");
    size_t size = fread(healthy, 1, sizeof healthy, file);
    fclose(file);
    cr_assert(size > 0 && size < sizeof healthy);
    random_source_t random = {.state = 20};
    int refused = 0;
    int found = 0;
    for (int i = 0; i < DAMAGES; i++) {
        memcpy(damaged, healthy, size);
        for (uint64_t flips = 1 + random_below(&random, 40); flips > 0; flips--) {
            damaged[random_below(&random, size)] = (uint8_t)random_next(&random);
        }
        write_file(fixture.path, damaged, size);
        store_options_t options = {.path = fixture.path};
        if (store_open(&options, &fixture.store, NULL, 0)) {
            refused++;
            continue;
        }
        store_check_result_t result = {.faults = 1};
        if (store_check(fixture.store, ignore_finding, NULL, &result) || result.faults > 0) {
            found++;
        }
        stream_opened_t stream = fixture.stream;
        if (!store_stream_open(fixture.store, slice_text("ordering"), slice_text("orders/0"),
                               &stream)) {
            (void)append_commit(fixture.store, &stream, 3);
        }
        store_close(&fixture.store);
    }
    cr_assert_gt(refused, 0);
    cr_assert_gt(found, DAMAGES / 4);
    fixture_fini(&fixture);
}
