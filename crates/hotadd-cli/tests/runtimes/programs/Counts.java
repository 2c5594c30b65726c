// What a JVM sees when it starts, and once its mask has grown.
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.ForkJoinPool;

public class Counts {
    static String mask() throws Exception {
        return Files.readAllLines(Path.of("/proc/self/status")).stream()
            .filter(line -> line.startsWith("Cpus_allowed_list:")).findFirst().get();
    }

    static void say(String word) {
        // The serial collector calls its young generation so.
        var collectors = ManagementFactory.getGarbageCollectorMXBeans();
        var serial = collectors.stream().anyMatch(one -> one.getName().equals("Copy")) ? 1 : 0;
        System.out.println(word + " availableProcessors=" + Runtime.getRuntime().availableProcessors()
            + " commonPool=" + ForkJoinPool.commonPool().getParallelism()
            + " newPool=" + new ForkJoinPool().getParallelism() + " serial=" + serial);
    }

    public static void main(String[] args) throws Exception {
        // Before it says that it has started: from then on a processor may join.
        var began = mask();
        say("start");
        while (mask().equals(began)) {
            Thread.sleep(10);
        }
        // A JVM looks at most every 20 ms.
        Thread.sleep(100);
        say("joined");
    }
}
