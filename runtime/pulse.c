#include "runtime/pulse.h"

#include "runtime/base/ensure.h"

const char *handler_name(handler_t handler)
{
    static const char *const names[HANDLER_COUNT] = {
#define HANDLER(name, meaning) [HANDLER_##name] = #name,
#include "runtime/handlers.def"
#undef HANDLER
    };
    ENSURE(handler < HANDLER_COUNT);
    return names[handler];
}
