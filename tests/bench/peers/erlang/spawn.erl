%% The same as runtime/spawn.c: one process starts the others, which then wait for messages. The
%% rate counts until the last of them runs.
-module(spawn).
-export([main/0]).

main() ->
    [Count] = bench:sizes(),
    Before = bench:rss("VmRSS:"),
    Started = counters:new(1, [write_concurrency]),
    {Figures, _} = bench:run(Count, fun() -> start(Count, Started) end),
    Bytes = bench:rss("VmRSS:") - Before,
    bench:print([{bytes_each, Bytes / Count} | Figures]).

start(Count, Started) ->
    start_children(Count, Started),
    wait(Count, Started).

start_children(0, _Started) ->
    ok;
start_children(Left, Started) ->
    spawn(fun() -> child(Started) end),
    start_children(Left - 1, Started).

child(Started) ->
    counters:add(Started, 1, 1),
    receive stop -> ok end.

wait(Count, Started) ->
    case counters:get(Started, 1) of
        Count -> ok;
        _ ->
            erlang:yield(),
            wait(Count, Started)
    end.
