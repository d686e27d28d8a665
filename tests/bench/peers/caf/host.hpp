// What a CAF program does around its actors: an actor system with the default scheduler and as many
// workers as Capstan's programs have cells, and the stretch that is measured. It begins when the
// stretch is made, and ends with the message (done, result) to its observer.
#pragma once

#include "tests/bench/kit/bench.h"

#include <caf/all.hpp>

#include <vector>

namespace host
{

using done_atom = caf::atom_constant<caf::atom("done")>;

constexpr size_t workers = 2;

struct config : caf::actor_system_config {
    explicit config(size_t threads = workers)
    {
        set("scheduler.max-threads", threads);
    }
};

class stretch
{
  public:
    explicit stretch(caf::actor_system &system) : self_{system}, meter_{bench_begin()}
    {
    }

    caf::actor observer()
    {
        return caf::actor{self_};
    }

    // Waits for the result, checks it, and returns what `ops` operations took.
    bench_figures_t end(uint64_t ops, uint64_t wanted)
    {
        uint64_t result = 0;
        self_->receive([&](done_atom, uint64_t value) { result = value; });
        bench_figures_t figures = bench_end(&meter_, ops);
        bench_expect("result", result, wanted);
        return figures;
    }

  private:
    caf::scoped_actor self_;
    bench_meter_t meter_;
};

} // namespace host
