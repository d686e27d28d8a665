/* Golden vectors: one file per row, with the encodings of the values that tests/kit/wire_sample.h
 * defines. They pin the bytes down; vectors_test.py checks the same files in another language. */
#include "tests/contract/contract_files.h"
#include "tests/kit/wire_compare.h"
#include "tests/kit/wire_sample.h"

#include <dirent.h>

static const struct {
    const char *name;
    sample_mode_t mode;
} lines[] = {{"all", SAMPLE_ALL}, {"required", SAMPLE_REQUIRED}, {"zero", SAMPLE_ZERO}};

static sample_t sample = {.random = 1};

static void put_hex(slice_t bytes, buffer_t *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *data = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) {
        char pair[2] = {digits[data[i] >> 4], digits[data[i] & 15]};
        buffer_append(out, pair, sizeof pair);
    }
}

static void vector_path(const wire_record_t *record, char *path, size_t size)
{
    snprintf(path, size, "tests/contract/vectors/%s.hex", record->name);
}

static void check_encoding(const wire_record_t *record)
{
    char path[128];
    buffer_t text = {0};
    buffer_t bytes = {0};
    codec_space_t value;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        sample.used = 0;
        sample.mode = lines[i].mode;
        buffer_clear(&bytes);
        sample_fill(&sample, record, value.bytes);
        codec_encode(record, value.bytes, &bytes);
        buffer_append(&text, lines[i].name, strlen(lines[i].name));
        buffer_append(&text, " ", 1);
        put_hex(buffer_slice(&bytes), &text);
        buffer_append(&text, "\n", 1);
    }
    vector_path(record, path, sizeof path);
    contract_check(path, buffer_slice(&text));
    buffer_fini(&text);
    buffer_fini(&bytes);
}

/* Tests run side by side: those that read stand back while this one writes the files anew. */
static void skip_while_regenerating(void)
{
    if (getenv("CAPSTAN_REGENERATE")) {
        cr_skip_test("the vectors are being written");
    }
}

Test(vectors, encoding_gives_the_bytes_of_every_vector)
{
    sample_each_row(check_encoding);
}

static unsigned digit(uint8_t c)
{
    cr_assert((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'), "no hexadecimal digit");
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Decodes one line's bytes and writes them again. */
static void check_line(const wire_record_t *record, sample_mode_t mode, slice_t hex)
{
    const uint8_t *digits = hex.data;
    buffer_t bytes = {0};
    buffer_t again = {0};
    codec_space_t wanted;
    codec_space_t read;
    for (size_t i = 0; i + 1 < hex.size; i += 2) {
        uint8_t byte = (uint8_t)(digit(digits[i]) << 4 | digit(digits[i + 1]));
        buffer_append(&bytes, &byte, 1);
    }
    cr_assert_eq(codec_decode(record, buffer_slice(&bytes), read.bytes, NULL), CAPSTAN_OK, "%s",
                 record->name);
    sample.used = 0;
    sample.mode = mode;
    sample_fill(&sample, record, wanted.bytes);
    cr_assert(sample_equal(record, wanted.bytes, read.bytes), "%s", record->name);
    codec_encode(record, read.bytes, &again);
    cr_assert(slice_equal(buffer_slice(&bytes), buffer_slice(&again)), "%s", record->name);
    buffer_fini(&bytes);
    buffer_fini(&again);
}

static void check_decoding(const wire_record_t *record)
{
    char path[128];
    buffer_t file = {0};
    vector_path(record, path, sizeof path);
    cr_assert(contract_read(path, &file), "%s has no vector; make it with: %s", record->name,
              REGENERATE);
    const uint8_t *at = file.data;
    const uint8_t *end = file.data + file.size;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        size_t name = strlen(lines[i].name);
        const uint8_t *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        cr_assert(stop && (size_t)(stop - at) > name && memcmp(at, lines[i].name, name) == 0,
                  "%s has no line '%s'", path, lines[i].name);
        const uint8_t *hex = at + name + 1;
        check_line(record, lines[i].mode, slice_of(hex, (size_t)(stop - hex)));
        at = stop + 1;
    }
    cr_assert_eq(at, end, "%s has more lines than it should", path);
    buffer_fini(&file);
}

Test(vectors, decoding_gives_back_every_vector)
{
    skip_while_regenerating();
    sample_each_row(check_decoding);
}

static unsigned rows;

static void count_row(const wire_record_t *record)
{
    rows += record != NULL;
}

Test(vectors, there_is_no_vector_without_its_row)
{
    skip_while_regenerating();
    char path[PATH_MAX];
    contract_path("tests/contract/vectors", path);
    DIR *folder = opendir(path);
    cr_assert(folder);
    unsigned files = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        files += entry->d_name[0] != '.';
    }
    closedir(folder);
    sample_each_row(count_row);
    cr_assert_eq(files, rows, "%u files for %u rows: remove what no row has any more", files, rows);
}
