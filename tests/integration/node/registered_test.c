/* Tables that a program registers with its node, as the node, its peers and `capstan schema` show
 * them. */
#include "node/assembly.h"
#include "node/descriptors.h"
#include "tests/integration/journal/store_fixture.h"
#include "tests/kit/shop_messages.h"

#include <criterion/criterion.h>

typedef struct host {
    fixture_t fixture;
    settings_t *loaded;
    assembly_settings_t settings;
    assembly_t *assembly;
} host_t;

static void host_start(host_t *self)
{
    char assignment[128];
    char text[512] = "";
    fixture_folder(&self->fixture);
    self->loaded = settings_new(node_sections, NODE_SECTION_COUNT);
    snprintf(assignment, sizeof assignment, "store.path=%s", self->fixture.path);
    cr_assert_eq(settings_assign(self->loaded, assignment, text, sizeof text), CAPSTAN_OK);
    cr_assert_eq(
        settings_assign(self->loaded, "gateway.endpoint=tcp://127.0.0.1:0", text, sizeof text),
        CAPSTAN_OK);
    self->settings = (assembly_settings_t){
        .node = settings_get(self->loaded, &node_settings_section),
        .runtime = settings_get(self->loaded, &runtime_settings_section),
        .gateway = settings_get(self->loaded, &gateway_settings_section),
        .ordering = settings_get(self->loaded, &ordering_settings_section),
        .journal = settings_get(self->loaded, &journal_settings_section),
        .saga = settings_get(self->loaded, &saga_settings_section),
    };
    cr_assert_eq(assembly_start(&self->settings, &self->assembly, text, sizeof text), CAPSTAN_OK,
                 "%s", text);
}

static void host_stop(host_t *self)
{
    cr_assert_eq(assembly_stop(&self->assembly), CAPSTAN_OK);
    settings_destroy(&self->loaded);
    fixture_fini(&self->fixture);
}

/* Appends what `capstan schema --to <the node> ...` prints, and a terminator. */
static int ask_program(const host_t *self, const char *format, buffer_t *out)
{
    char command[512];
    const char *program = getenv("CAPSTAN_PROGRAM");
    cr_assert(program, "CAPSTAN_PROGRAM names the program");
    snprintf(command, sizeof command, "'%s' schema --format %s --to '%s'", program, format,
             assembly_endpoint(self->assembly));
    FILE *pipe = popen(command, "r");
    cr_assert(pipe);
    for (size_t got = 1; got > 0; out->size += got) {
        got = fread(buffer_reserve(out, 4096), 1, 4096, pipe);
    }
    int status = pclose(pipe);
    buffer_append(out, "", 1);
    return status;
}

static void check_description(const host_t *self, capstan_schema_format_t format, const char *name,
                              const char *line, bool wanted)
{
    buffer_t asked = {0};
    capstan_buffer_t own = {0};
    cr_assert_eq(ask_program(self, name, &asked), 0);
    cr_assert_eq(capstan_node_schema(assembly_node(self->assembly), format, &own), CAPSTAN_OK);
    buffer_append(&own, "", 1);
    cr_assert_str_eq((const char *)asked.data, (const char *)own.data);
    cr_assert_eq(strstr((const char *)own.data, line) != NULL, wanted, "%s: %s", name, line);
    buffer_fini(&asked);
    capstan_buffer_fini(&own);
}

Test(registered, a_node_describes_the_tables_of_its_program)
{
    static const char json[] =
        "{\"name\":\"shop_order\",\"id\":32770,\"concern\":\"shop\",\"since\":1";
    static const char markdown[] = "### shop_order\n\nOrders articles.\n";
    host_t host = {0};
    char text[256] = "";
    host_start(&host);
    check_description(&host, CAPSTAN_SCHEMA_JSON, "json", json, false);
    check_description(&host, CAPSTAN_SCHEMA_MARKDOWN, "markdown", markdown, false);
    cr_assert_eq(
        capstan_node_register(assembly_node(host.assembly), &shop_table, text, sizeof text),
        CAPSTAN_OK, "%s", text);
    check_description(&host, CAPSTAN_SCHEMA_JSON, "json", json, true);
    check_description(&host, CAPSTAN_SCHEMA_MARKDOWN, "markdown", markdown, true);
    cr_assert_eq(
        capstan_node_register(assembly_node(host.assembly), &shop_table, text, sizeof text),
        CAPSTAN_E_EXISTS);
    host_stop(&host);
}

Test(registered, a_description_goes_to_memory_of_the_caller_when_it_fits)
{
    capstan_node_t *node;
    capstan_buffer_t grown = {0};
    static char memory[1 << 20];
    capstan_buffer_t large = capstan_buffer_over(memory, sizeof memory);
    capstan_buffer_t small = capstan_buffer_over(memory, 100);
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    cr_assert_eq(capstan_node_schema(node, CAPSTAN_SCHEMA_JSON, &grown), CAPSTAN_OK);
    cr_assert_eq(capstan_node_schema(node, CAPSTAN_SCHEMA_JSON, &large), CAPSTAN_OK);
    cr_assert(grown.size == large.size && memcmp(grown.data, memory, grown.size) == 0);
    cr_assert_eq(capstan_node_schema(node, CAPSTAN_SCHEMA_JSON, &small), CAPSTAN_E_TOO_LARGE);
    cr_assert_eq(small.size, 0);
    cr_assert_eq(capstan_node_schema(node, CAPSTAN_SCHEMA_COUNT, &grown), CAPSTAN_E_INVALID);
    capstan_buffer_fini(&grown);
    cr_assert_eq(capstan_node_stop(&node, 5000000, NULL, NULL), CAPSTAN_OK);
}
