%% The same as runtime/ask.c: one request at a time, as gen_server does it: a monitor, a message,
%% the answer, without a time-out.
-module(ask).
-export([main/0]).

main() ->
    [Rounds | _] = bench:sizes(),
    Warm = Rounds div 10,
    {Figures, Latencies} = bench:run(Rounds + Warm, fun() -> ask_all(Warm, Rounds) end),
    bench:print(Figures ++ bench:quantiles(Latencies)).

ask_all(Warm, Rounds) ->
    Answerer = spawn(fun answer/0),
    asks(Answerer, Warm, []),
    asks(Answerer, Rounds, []).

answer() ->
    receive
        {ping, Alias, Round} ->
            Alias ! {Alias, Round},
            answer()
    end.

asks(_Answerer, 0, Latencies) ->
    Latencies;
asks(Answerer, Left, Latencies) ->
    Begin = erlang:monotonic_time(nanosecond),
    Alias = monitor(process, Answerer, [{alias, reply_demonitor}]),
    Answerer ! {ping, Alias, Left},
    Echoed = receive {Alias, Round} -> Round end,
    Latency = erlang:monotonic_time(nanosecond) - Begin,
    bench:expect("number in the answer", Echoed, Left),
    asks(Answerer, Left - 1, [Latency | Latencies]).
