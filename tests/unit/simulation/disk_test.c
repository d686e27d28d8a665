/* The disk of a simulated node keeps what was synced, and a beginning of what was not. */
#include <capstan/simulation.h>

#include <criterion/criterion.h>
#include <string.h>

enum { SEEDS = 200, DOWN_US = 1000 };

static capstan_err_t start_nothing(capstan_simulation_t *world, uint32_t node, void *context)
{
    (void)world;
    (void)node;
    (void)context;
    return CAPSTAN_OK;
}

static capstan_simulation_t *make_world(uint64_t seed)
{
    capstan_simulation_t *world;
    capstan_err_t err =
        capstan_simulation_new(&(capstan_simulation_options_t){.seed = seed}, &world);
    cr_assert_eq(err, CAPSTAN_OK);
    capstan_simulation_add_node(
        world, &(capstan_simulation_node_t){.name = "north", .start = start_nothing});
    return world;
}

static void append(capstan_simulation_t *world, const char *text)
{
    cr_assert_eq(capstan_simulation_disk_append(world, 0, "file", capstan_slice_text(text)),
                 CAPSTAN_OK);
}

static void sync_file(capstan_simulation_t *world)
{
    cr_assert_eq(capstan_simulation_disk_sync(world, 0, "file"), CAPSTAN_OK);
}

static void crash(capstan_simulation_t *world)
{
    capstan_simulation_crash(world, 0, DOWN_US);
    cr_assert(capstan_simulation_run(world, 2 * DOWN_US));
    cr_assert_not_null(capstan_simulation_node(world, 0));
}

/* The text in the file, "none" when there is no file; as long as the next call. */
static const char *content(capstan_simulation_t *world)
{
    static char text[64];
    capstan_buffer_t bytes = {0};
    capstan_err_t err = capstan_simulation_disk_read(world, 0, "file", &bytes);
    snprintf(text, sizeof text, "%.*s", (int)bytes.size, (const char *)bytes.data);
    capstan_buffer_fini(&bytes);
    return err == CAPSTAN_E_NOT_FOUND ? "none" : text;
}

Test(simulated_disk, keeps_what_was_synced_and_a_beginning_of_the_rest)
{
    bool seen[5] = {false};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        capstan_simulation_t *world = make_world(seed);
        append(world, "safe");
        sync_file(world);
        append(world, "ne");
        append(world, "ws");
        cr_assert_str_eq(content(world), "safenews");
        crash(world);
        size_t kept = strlen(content(world));
        cr_assert_eq(strncmp("safenews", content(world), kept), 0);
        cr_assert(kept >= 4 && kept <= 8);
        seen[kept - 4] = true;
        capstan_simulation_destroy(&world);
    }
    for (size_t i = 0; i < 5; i++) {
        cr_assert(seen[i], "no crash has left %zu bytes", i);
    }
}

Test(simulated_disk, forgets_a_file_that_was_never_synced_or_keeps_a_beginning)
{
    bool gone = false;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        capstan_simulation_t *world = make_world(seed);
        append(world, "news");
        crash(world);
        bool none = strcmp(content(world), "none") == 0;
        gone |= none;
        cr_assert(none || strncmp("news", content(world), strlen(content(world))) == 0);
        capstan_simulation_destroy(&world);
    }
    cr_assert(gone);
}

Test(simulated_disk, leaves_the_old_or_a_beginning_of_the_new_when_it_replaces)
{
    bool old = false;
    bool empty = false;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        capstan_simulation_t *world = make_world(seed);
        append(world, "old");
        sync_file(world);
        cr_assert_eq(capstan_simulation_disk_write(world, 0, "file", capstan_slice_text("new")),
                     CAPSTAN_OK);
        crash(world);
        const char *text = content(world);
        old |= strcmp(text, "old") == 0;
        empty |= strcmp(text, "") == 0;
        cr_assert(strcmp(text, "old") == 0 || strncmp("new", text, strlen(text)) == 0, "%s", text);
        capstan_simulation_destroy(&world);
    }
    cr_assert(old && empty);
}

Test(simulated_disk, fails_when_the_faults_say_so_and_refuses_what_cannot_be)
{
    char name[65] = {0};
    capstan_buffer_t bytes = {0};
    capstan_simulation_t *world = make_world(1);
    memset(name, 'x', sizeof name - 1);
    cr_assert_eq(capstan_simulation_disk_append(world, 0, "", capstan_slice_text("a")),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_simulation_disk_append(world, 0, name, capstan_slice_text("a")),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_simulation_disk_sync(world, 0, "absent"), CAPSTAN_E_NOT_FOUND);
    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "file-%d", i);
        cr_assert_eq(capstan_simulation_disk_append(world, 0, name, capstan_slice_text("a")),
                     CAPSTAN_OK);
    }
    cr_assert_eq(capstan_simulation_disk_append(world, 0, "one more", capstan_slice_text("a")),
                 CAPSTAN_E_STORE_FULL);
    capstan_simulation_set_faults(world, &(capstan_simulation_faults_t){.disk_errors = 1000});
    cr_assert_eq(capstan_simulation_disk_append(world, 0, name, capstan_slice_text("a")),
                 CAPSTAN_E_STORE_IO);
    cr_assert_eq(capstan_simulation_disk_sync(world, 0, name), CAPSTAN_E_STORE_IO);
    cr_assert_eq(capstan_simulation_disk_read(world, 0, name, &bytes), CAPSTAN_E_STORE_IO);
    cr_assert_eq(bytes.size, 0);
    capstan_simulation_destroy(&world);
}
