/* Opening: the lock, the format, the claim of the shards. */
#include "actors/journal/store_internal.h"
#include "runtime/base/ensure.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    APPLICATION_ID = 0x43415053, /* "CAPS", in the database's header; also in store_schema.sql */
    PAGE_BYTES = 16384,
    WAL_FRAME_HEAD_BYTES = 24,
    CHECKPOINT_BYTES = 4 << 20,
    CLOSE_WAIT_MS = 100, /* for reads that are under way when the store is closed */
};

#define STATEMENT(name) extern const char sql_store_##name[];
#define COPY(name, number)
#include "actors/journal/store_statements.def"
#undef STATEMENT
#undef COPY
extern const char sql_store_schema[];
extern const char sql_store_migrate_2[];

/* The steps from format 1, which is what the schema makes, to STORE_FORMAT. */
static const char *const migrations[] = {sql_store_migrate_2};
_Static_assert(sizeof migrations / sizeof migrations[0] == STORE_FORMAT - 1, "a step per format");

static const char *const statement_texts[SQL_COUNT] = {
#define STATEMENT(name)    [SQL_##name] = sql_store_##name,
#define COPY(name, number) [SQL_##name##_##number] = sql_store_##name,
#include "actors/journal/store_statements.def"
#undef STATEMENT
#undef COPY
};

/* Where the text for people goes while a store is being opened. */
typedef struct opening {
    const store_options_t *options;
    char *text;
    size_t text_size;
} opening_t;

__attribute__((format(printf, 3, 4))) static capstan_err_t
refuse(const opening_t *opening, capstan_err_t err, const char *format, ...)
{
    if (opening->text && opening->text_size > 0) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(opening->text, opening->text_size, format, arguments);
        va_end(arguments);
    }
    return err;
}

static capstan_err_t refuse_system(const opening_t *opening, int number, const char *path)
{
    char reason[128];
    const char *why = strerror_r(number, reason, sizeof reason);
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        if (opening->options->read_only) {
            return refuse(opening, CAPSTAN_E_STORE_IO,
                          "%s does not exist; name the store's file, or start a node to make one",
                          path);
        }
        return refuse(opening, CAPSTAN_E_STORE_IO,
                      "%s: its folder does not exist; create the folder, or set store.path", path);
    case EACCES:
    case EPERM:
    case EROFS:
        return refuse(opening, CAPSTAN_E_STORE_PERMISSION,
                      "%s cannot be written (%s); give user %u write permission to the file and "
                      "its folder, or set store.path elsewhere",
                      path, why, (unsigned)geteuid());
    case EMFILE:
    case ENFILE:
        return refuse(opening, CAPSTAN_E_NO_DESCRIPTOR, "%s cannot be opened (%s); %s", path, why,
                      capstan_err_remedy(CAPSTAN_E_NO_DESCRIPTOR));
    case ENOSPC:
    case EDQUOT:
        return refuse(opening, CAPSTAN_E_STORE_FULL,
                      "%s cannot be written (%s); free space on its disk", path, why);
    default:
        return refuse(opening, CAPSTAN_E_STORE_IO, "%s: %s; check the disk and store.path", path,
                      why);
    }
}

static capstan_err_t refuse_database(const opening_t *opening, sqlite3 *db)
{
    const char *path = opening->options->path;
    capstan_err_t err = store_map_error(db);
    err = err ? err : CAPSTAN_E_STORE_CORRUPT; /* no error, but not what has to be there */
    switch (err) {
    case CAPSTAN_E_STORE_CORRUPT:
        if (opening->options->read_only) {
            return refuse(opening, err,
                          "%s is damaged beyond reading, or no Capstan store (%s); restore a "
                          "backup, or name another file",
                          path, sqlite3_errmsg(db));
        }
        return refuse(
            opening, err,
            "%s is damaged or no Capstan store (%s); run `capstan store check`, restore a "
            "backup, or set store.path to another file",
            path, sqlite3_errmsg(db));
    case CAPSTAN_E_STORE_LOCKED:
        return refuse(opening, err,
                      "%s is locked by another program (%s); close it (a database browser?)", path,
                      sqlite3_errmsg(db));
    default: {
        int number = sqlite3_system_errno(db);
        if (number != 0) {
            return refuse_system(opening, number, path);
        }
        return refuse(opening, err, "%s: %s (%s). %s", path, capstan_err_text(err),
                      sqlite3_errmsg(db), capstan_err_remedy(err));
    }
    }
}

/* A lock on an open file description: it ends with the process however that ends, is not given up
 * by closing another descriptor of the file, and keeps out a second handle in one process too. The
 * file stays: removing it would let two nodes lock two files of one name. */
static capstan_err_t take_lock(const opening_t *opening, int *ret_fd)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s-lock", opening->options->path);
    if (length < 0 || (size_t)length >= sizeof path) {
        return refuse(opening, CAPSTAN_E_INVALID, "store.path is longer than a path can be");
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        return refuse_system(opening, errno, path);
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        int number = errno;
        close(fd);
        if (number == EAGAIN || number == EACCES) {
            return refuse(opening, CAPSTAN_E_STORE_LOCKED,
                          "%s is used by another node; stop that node, or give this one another "
                          "store.path",
                          opening->options->path);
        }
        return refuse_system(opening, number, path);
    }
    *ret_fd = fd;
    return CAPSTAN_OK;
}

/* The first number of the first row; -1 on an error, which stays in `db`. */
static int64_t query_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        number = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return number;
}

static bool execute(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* Whether the file is empty (format 0), ours, newer, or something else: before anything is written
 * to it. */
static capstan_err_t identify(const opening_t *opening, sqlite3 *db, int *ret_format)
{
    const char *path = opening->options->path;
    int64_t tables = query_number(db, "SELECT count(*) FROM sqlite_schema");
    int64_t application = query_number(db, "PRAGMA application_id");
    if (tables < 0 || application < 0) {
        return refuse_database(opening, db);
    }
    if (tables == 0 && application == 0) {
        *ret_format = 0;
        return CAPSTAN_OK;
    }
    if (application != APPLICATION_ID) {
        return refuse(opening, CAPSTAN_E_STORE_CORRUPT,
                      "%s is a database of another program, not a Capstan store; set store.path to "
                      "another file",
                      path);
    }
    int64_t format = query_number(db, "SELECT format FROM meta WHERE id = 1");
    if (format < 1) {
        return refuse_database(opening, db);
    }
    if (format > STORE_FORMAT) {
        return refuse(opening, CAPSTAN_E_STORE_NEWER,
                      "%s has format %lld, this program knows formats up to %d; use the program "
                      "version that wrote it, or a newer one",
                      path, (long long)format, STORE_FORMAT);
    }
    *ret_format = (int)format;
    return CAPSTAN_OK;
}

static int on_wal(void *context, sqlite3 *db, const char *name, int frames)
{
    (void)db;
    (void)name;
    store_t *self = context;
    self->wal_bytes = (uint64_t)frames * (PAGE_BYTES + WAL_FRAME_HEAD_BYTES);
    return SQLITE_OK;
}

static bool set_up_connection(store_t *self, const store_options_t *options)
{
    sqlite3_busy_timeout(self->db, STORE_BUSY_MS);
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (!execute(self->db, "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
                           "PRAGMA cell_size_check = ON")) {
        return false;
    }
    if (options->read_only) {
        return execute(self->db, "PRAGMA query_only = ON");
    }
    /* What is deleted is overwritten where that costs no further page. */
    if (!execute(self->db, "PRAGMA secure_delete = FAST")) {
        return false;
    }
    /* The hook replaces SQLite's own checkpoints (wal_autocheckpoint). */
    sqlite3_wal_hook(self->db, on_wal, self);
    return execute(self->db, options->synchronous_off ? "PRAGMA synchronous = OFF"
                                                      : "PRAGMA synchronous = FULL");
}

static bool has_wal(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    bool wal = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &statement, NULL) == SQLITE_OK &&
               sqlite3_step(statement) == SQLITE_ROW &&
               strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    sqlite3_finalize(statement);
    return wal;
}

/* What is missing to the present format, from nothing on; all or, after a crash, none of it. */
static bool migrate(sqlite3 *db, int format)
{
    bool done = execute(db, "BEGIN IMMEDIATE");
    if (done && format == 0) {
        done = execute(db, sql_store_schema);
        format = 1;
    }
    for (; done && format < STORE_FORMAT; format++) {
        done = execute(db, migrations[format - 1]);
    }
    return done && execute(db, "COMMIT");
}

static capstan_err_t make_schema(const opening_t *opening, sqlite3 *db, int format)
{
    char page_size[64];
    snprintf(page_size, sizeof page_size, "PRAGMA page_size = %d", PAGE_BYTES);
    if (format == 0 && !execute(db, page_size)) {
        return refuse_database(opening, db);
    }
    if (!execute(db, "PRAGMA journal_mode = WAL") ||
        !execute(db, "PRAGMA journal_size_limit = 67108864")) {
        return refuse_database(opening, db);
    }
    /* SQLite keeps another mode, and says so, where it cannot share memory between processes. */
    if (!has_wal(db)) {
        return refuse(opening, CAPSTAN_E_STORE_IO,
                      "%s: no write-ahead log is possible there; put the store on a local disk",
                      opening->options->path);
    }
    if (format < STORE_FORMAT && !migrate(db, format)) {
        capstan_err_t err = refuse_database(opening, db);
        execute(db, "ROLLBACK");
        return err;
    }
    /* What that wrote leaves no room in the write-ahead log, which would hide a full disk. */
    execute(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    return CAPSTAN_OK;
}

/* A reader changes nothing, and so cannot bring a store to the present format. */
static capstan_err_t check_format(const opening_t *opening, int format)
{
    const char *path = opening->options->path;
    if (format == 0) {
        return refuse(opening, CAPSTAN_E_STORE_CORRUPT, "%s is empty, not a Capstan store", path);
    }
    if (format < STORE_FORMAT) {
        return refuse(opening, CAPSTAN_E_INVALID,
                      "%s has format %d, this program reads format %d; start a node on it once, "
                      "which brings it there, or use the program version that wrote it",
                      path, format, STORE_FORMAT);
    }
    return CAPSTAN_OK;
}

static capstan_err_t open_database(store_t *self, const opening_t *opening)
{
    const store_options_t *options = opening->options;
    int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
        (options->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (sqlite3_open_v2(options->path, &self->db, flags, options->vfs) != SQLITE_OK) {
        return self->db ? refuse_database(opening, self->db) : CAPSTAN_E_NO_MEMORY;
    }
    if (!options->read_only && sqlite3_db_readonly(self->db, "main") == 1) {
        return refuse_system(opening, EACCES, options->path);
    }
    if (!set_up_connection(self, options)) {
        return refuse_database(opening, self->db);
    }
    int format = 0;
    capstan_err_t err = identify(opening, self->db, &format);
    if (err) {
        return err;
    }
    return options->read_only ? check_format(opening, format)
                              : make_schema(opening, self->db, format);
}

capstan_err_t store_open(const store_options_t *options, store_t **ret_store, char *ret_text,
                         size_t text_size)
{
    opening_t opening = {.options = options, .text = ret_text, .text_size = text_size};
    if (options->path[0] == '\0' || options->path[0] == ':') { /* SQLite's names for no file */
        return refuse(&opening, CAPSTAN_E_INVALID, "\"%s\" is no path of a store", options->path);
    }
    store_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->lock_fd = -1;
    self->terms_new = -1;
    self->read_only = options->read_only;
    self->checkpoint_bytes =
        options->checkpoint_bytes > 0 ? options->checkpoint_bytes : CHECKPOINT_BYTES;
    self->wal_bytes_due = self->checkpoint_bytes;

    capstan_err_t err = options->read_only ? CAPSTAN_OK : take_lock(&opening, &self->lock_fd);
    if (!err) {
        err = open_database(self, &opening);
    }
    for (int i = 0; !err && i < SQL_COUNT; i++) {
        if (sqlite3_prepare_v3(self->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &self->sql[i], NULL) != SQLITE_OK) {
            err = refuse_database(&opening, self->db);
        }
    }
    /* SQLite counts the cache in pages of the size that it knows when this is said. The statements
     * have made it read the file's; before that it would allow four times as much. */
    if (!err && !execute(self->db, "PRAGMA cache_size = -8192")) {
        err = refuse_database(&opening, self->db);
    }
    if (err) {
        store_close(&self);
        return err;
    }
    *ret_store = self;
    return CAPSTAN_OK;
}

/* After a clean stop the database's file is the whole store, also while a reader closes at the same
 * moment and SQLite, which does this when the last one closes, takes neither for the last. What
 * does not succeed loses nothing: the next start reads the log. */
static void empty_log(store_t *self)
{
    if (self->db && !self->read_only) {
        sqlite3_busy_timeout(self->db, CLOSE_WAIT_MS);
        sqlite3_wal_checkpoint_v2(self->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    }
}

void store_close(store_t **self_p)
{
    store_t *self = *self_p;
    *self_p = NULL;
    if (!self) {
        return;
    }
    store_rollback(self);
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(self->sql[i]);
    }
    empty_log(self);
    int result = sqlite3_close(self->db);
    ENSURE(result == SQLITE_OK);
    if (self->lock_fd >= 0) {
        close(self->lock_fd);
    }
    free(self->positions);
    buffer_fini(&self->move_term);
    buffer_fini(&self->move_key);
    free(self);
}

static capstan_err_t claim_in_transaction(store_t *self, const store_identity_t *identity,
                                          slice_t node_name)
{
    bind_number(self->sql[SQL_meta_set], 1, identity->node);
    bind_number(self->sql[SQL_meta_set], 2, identity->boot);
    capstan_err_t err = store_run(self, SQL_meta_set);
    if (err) {
        return err;
    }
    bind_number(self->sql[SQL_node_put], 1, identity->node);
    bind_text(self->sql[SQL_node_put], 2, node_name);
    bind_number(self->sql[SQL_node_put], 3, identity->boot);
    err = store_run(self, SQL_node_put);
    if (err) {
        return err;
    }
    bind_number(self->sql[SQL_owners_claim], 1, identity->node);
    return store_run(self, SQL_owners_claim);
}

capstan_err_t store_claim(store_t *self, uint64_t random, slice_t node_name,
                          store_identity_t *ret_identity)
{
    ENSURE(random != 0);
    capstan_err_t err = store_begin(self);
    if (err) {
        return err;
    }
    sqlite3_stmt *statement = self->sql[SQL_meta_get];
    int step = sqlite3_step(statement);
    uint64_t node = column_number(statement, 1);
    store_identity_t identity = {.node = node != 0 ? node : random,
                                 .boot = (uint32_t)column_number(statement, 2) + 1};
    err = store_finish(self, SQL_meta_get, step);
    if (!err && step == SQLITE_DONE) {
        err = CAPSTAN_E_STORE_CORRUPT;
    }
    if (!err) {
        err = claim_in_transaction(self, &identity, node_name);
    }
    if (err) {
        store_rollback(self);
        return err;
    }
    err = store_commit(self);
    store_forget(self); /* every epoch has changed */
    if (!err) {
        *ret_identity = identity;
    }
    return err;
}
