%% What every Erlang program has in common; kit/bench.h is the same in C. A program is a module with
%% main/0; its sizes are the plain arguments.
-module(bench).
-export([sizes/0, seed/0, run/2, expect/3, quantiles/1, rss/1, print/1]).

%% The numbers of the command line.
sizes() ->
    [list_to_integer(Text) || Text <- init:get_plain_arguments()].

seed() ->
    list_to_integer(os:getenv("CAPSTAN_BENCH_SEED", "1")).

%% Runs one stretch of Ops operations; returns the figures and what Work returned.
run(Ops, Work) ->
    Cpu = cpu_s(),
    Begin = erlang:monotonic_time(nanosecond),
    Result = Work(),
    Seconds = (erlang:monotonic_time(nanosecond) - Begin) / 1.0e9,
    Figures = [{ops, Ops}, {seconds, Seconds}, {ops_per_s, Ops / Seconds}, {cpu_s, cpu_s() - Cpu}],
    {Figures, Result}.

%% User and system, in the clock ticks of Linux: 100 per second.
cpu_s() ->
    {ok, Text} = file:read_file("/proc/self/stat"),
    [_, Rest] = binary:split(Text, <<") ">>),
    Fields = binary:split(Rest, <<" ">>, [global]),
    (binary_to_integer(lists:nth(12, Fields)) + binary_to_integer(lists:nth(13, Fields))) / 100.

%% Resident memory in bytes: Key is "VmRSS:" (now) or "VmHWM:" (the most there was).
rss(Key) ->
    {ok, Text} = file:read_file("/proc/self/status"),
    {match, [Kib]} = re:run(Text, Key ++ "\\s+(\\d+)", [{capture, all_but_first, list}]),
    list_to_integer(Kib) * 1024.

expect(_What, Wanted, Wanted) ->
    ok;
expect(What, Got, Wanted) ->
    io:format(standard_error, "failed: ~s: ~p, not ~p~n", [What, Got, Wanted]),
    erlang:halt(1).

quantiles(LatenciesNs) ->
    Sorted = list_to_tuple(lists:sort(LatenciesNs)),
    Count = tuple_size(Sorted),
    At = fun(PerMille) -> element(min(Count, Count * PerMille div 1000 + 1), Sorted) / 1000 end,
    [{p50_us, At(500)}, {p99_us, At(990)}, {p999_us, At(999)}].

print(Figures) ->
    Texts = [io_lib:format("\"~s\":~s", [Name, number(Value)])
             || {Name, Value} <- Figures ++ [{rss_bytes, rss("VmHWM:")}]],
    io:format("{~s}~n", [lists:join(",", Texts)]),
    erlang:halt(0).

number(Value) when is_integer(Value) ->
    integer_to_list(Value);
number(Value) ->
    float_to_list(Value, [{decimals, 6}, compact]).
