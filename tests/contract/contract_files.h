/* Files of the repository that are made from the tables: compared, or on request written anew. */
#ifndef TESTS_CONTRACT_FILES_H
#define TESTS_CONTRACT_FILES_H

#include "runtime/base/buffer.h"
#include "runtime/base/ensure.h"

#include <criterion/criterion.h>
#include <limits.h>

#define REGENERATE "CAPSTAN_REGENERATE=1 build/tests/contract_tests"

static inline void contract_path(const char *name, char path[static PATH_MAX])
{
    int size = snprintf(path, PATH_MAX, "%s/%s", CAPSTAN_SOURCE_DIR, name);
    ENSURE(size > 0 && size < PATH_MAX);
}

/* Appends the file's content; false when it cannot be read. */
static inline bool contract_read(const char *name, buffer_t *out)
{
    char path[PATH_MAX];
    contract_path(name, path);
    FILE *file = fopen(path, "rb");
    if (!file) {
        return false;
    }
    size_t size = 0;
    do {
        size = fread(buffer_reserve(out, 4096), 1, 4096, file);
        out->size += size;
    } while (size > 0);
    bool good = !ferror(file);
    fclose(file);
    return good;
}

static inline void contract_write(const char *name, slice_t content)
{
    char path[PATH_MAX];
    contract_path(name, path);
    FILE *file = fopen(path, "wb");
    cr_assert(file, "cannot write %s", path);
    cr_assert_eq(fwrite(content.data, 1, content.size, file), content.size);
    cr_assert_eq(fclose(file), 0);
}

static inline size_t contract_line_of(const uint8_t *data, size_t position)
{
    size_t line = 1;
    for (size_t i = 0; i < position; i++) {
        line += data[i] == '\n';
    }
    return line;
}

/* The file must hold exactly `content`. With CAPSTAN_REGENERATE in the environment it is written
 * first, so that one command brings all files up to date after a change of a table. */
static inline void contract_check(const char *name, slice_t content)
{
    if (getenv("CAPSTAN_REGENERATE")) {
        contract_write(name, content);
    }
    buffer_t file = {0};
    bool readable = contract_read(name, &file);
    cr_assert(readable, "%s cannot be read; if it is new, make it with: %s", name, REGENERATE);
    const uint8_t *wanted = content.data;
    size_t shared = 0;
    while (shared < file.size && shared < content.size && file.data[shared] == wanted[shared]) {
        shared++;
    }
    bool same = shared == file.size && shared == content.size;
    size_t line = contract_line_of(file.data, shared);
    buffer_fini(&file);
    cr_assert(same,
              "%s differs from the tables from line %zu on.\n"
              "If the change of the protocol is meant, write the files anew with: %s\n"
              "and read the difference before you commit it.",
              name, line, REGENERATE);
}

#endif
