import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.util.Arrays;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.locks.LockSupport;
import java.util.logging.Logger;
import javax.sql.DataSource;

/**
 * borrowers THREADS SIZE ROUNDS HOLD_US: threads that take a connection, hold it and give it back.
 * The connections do nothing, so that the pool is measured. Before, the machine warms up.
 */
public final class Borrowers {
    private static final int WARM_UP_ROUNDS = 200000;

    /** Open, valid, and without a transaction. */
    private static Connection connection() {
        return (Connection) Proxy.newProxyInstance(
            Borrowers.class.getClassLoader(), new Class<?>[] {Connection.class},
            (proxy, method, arguments) -> {
                switch (method.getName()) {
                    case "isValid":
                    case "getAutoCommit":
                        return true;
                    case "getTransactionIsolation":
                        return Connection.TRANSACTION_READ_COMMITTED;
                    case "hashCode":
                        return System.identityHashCode(proxy);
                    case "equals":
                        return proxy == arguments[0];
                    case "toString":
                        return "stub";
                    default:
                        Class<?> type = method.getReturnType();
                        return type == boolean.class ? (Object) false
                            : type == int.class ? (Object) 0 : null;
                }
            });
    }

    private static final class Stub implements DataSource {
        public Connection getConnection() { return connection(); }
        public Connection getConnection(String user, String password) { return connection(); }
        public PrintWriter getLogWriter() { return null; }
        public void setLogWriter(PrintWriter out) { }
        public void setLoginTimeout(int seconds) { }
        public int getLoginTimeout() { return 0; }
        public Logger getParentLogger() { return null; }
        public <T> T unwrap(Class<T> type) { return null; }
        public boolean isWrapperFor(Class<?> type) { return false; }
    }

    private final HikariDataSource pool;
    private final int threads;

    private Borrowers(int threads, int size) {
        HikariConfig config = new HikariConfig();
        config.setDataSource(new Stub());
        config.setMaximumPoolSize(size);
        config.setConnectionTimeout(10000);
        pool = new HikariDataSource(config);
        this.threads = threads;
    }

    /** Held for no time, and not timed one by one. */
    private void bare() throws Exception {
        pool.getConnection().close();
    }

    private void round(long holdNs, long[] waits, int at) throws Exception {
        long begin = System.nanoTime();
        Connection connection = pool.getConnection();
        waits[at] = System.nanoTime() - begin;
        LockSupport.parkNanos(holdNs);
        connection.close();
    }

    /** The waits of all, and how long it took. */
    private long run(int rounds, long holdNs, long[] waits) throws Exception {
        Thread[] running = new Thread[threads];
        CyclicBarrier start = new CyclicBarrier(threads + 1);
        for (int i = 0; i < threads; i++) {
            int first = i * rounds;
            running[i] = new Thread(() -> {
                try {
                    start.await();
                    for (int round = 0; round < rounds; round++) {
                        if (holdNs == 0) {
                            bare();
                        } else {
                            round(holdNs, waits, first + round);
                        }
                    }
                } catch (Exception failure) {
                    failure.printStackTrace();
                    System.exit(1);
                }
            });
            running[i].start();
        }
        start.await();
        long begin = System.nanoTime();
        for (Thread thread : running) {
            thread.join();
        }
        return System.nanoTime() - begin;
    }

    private static long cpuNs() {
        return ((com.sun.management.OperatingSystemMXBean)
            ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static long rssPeak() throws Exception {
        return Files.lines(Path.of("/proc/self/status")).filter(line -> line.startsWith("VmHWM"))
            .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024).findAny().orElse(0);
    }

    public static void main(String[] arguments) throws Exception {
        int threads = Integer.parseInt(arguments[0]);
        int rounds = Integer.parseInt(arguments[2]);
        long holdNs = Long.parseLong(arguments[3]) * 1000;
        Borrowers borrowers = new Borrowers(threads, Integer.parseInt(arguments[1]));
        int warmUp = Math.max(1, WARM_UP_ROUNDS / threads);
        borrowers.run(warmUp, 0, new long[threads * warmUp]);
        long[] waits = new long[threads * rounds];
        long beginCpu = cpuNs();
        double seconds = borrowers.run(rounds, holdNs, waits) / 1e9;
        double cpu = (cpuNs() - beginCpu) / 1e9;
        Arrays.sort(waits);
        System.out.printf("{\"ops\":%d,\"seconds\":%.6g,\"ops_per_s\":%.9g,\"p50_us\":%.9g,"
            + "\"p99_us\":%.9g,\"p999_us\":%.9g,\"cpu_s\":%.6g,\"rss_bytes\":%d}%n",
            waits.length, seconds, waits.length / seconds, waits[waits.length / 2] / 1e3,
            waits[(int) (waits.length * 99L / 100)] / 1e3,
            waits[(int) (waits.length * 999L / 1000)] / 1e3, cpu, rssPeak());
        System.exit(0);
    }
}
