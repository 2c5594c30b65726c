// A pool with as many threads as the partition has processors: Follow.java PAGE (docs/runtimes.md)
import java.lang.invoke.MethodHandles;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

public class Follow {
    static void work() {
        for (int i = 0; i < 20_000_000; i++) {
            Thread.onSpinWait();
        }
    }

    public static void main(String[] args) throws Exception {
        var order = ByteOrder.nativeOrder();
        var page = FileChannel.open(Path.of(args[0])).map(FileChannel.MapMode.READ_ONLY, 0, 25216).order(order);
        var longs = MethodHandles.byteBufferViewVarHandle(long[].class, order);
        var magic = new byte[8];
        page.get(0, magic);
        if (!new String(magic).equals("hotadd\0\0") || page.getInt(8) != 1) {
            throw new IllegalArgumentException(args[0] + " is not a page of version 1");
        }
        // The queue has no limit, so the pool has its core size.
        var queue = new LinkedBlockingQueue<Runnable>();
        var pool = new ThreadPoolExecutor(1, Integer.MAX_VALUE, 1, TimeUnit.SECONDS, queue);
        for (int size = 0; (page.getInt(24) & 1) == 0; Thread.sleep(10)) {
            int count = (int) ((long) longs.getVolatile(page, 16) & 0xffff);
            if (count != size) {
                pool.setCorePoolSize(count);
                size = count;
                System.out.println("workers " + pool.getCorePoolSize());
            }
            while (queue.size() < 2 * count) {
                pool.execute(Follow::work);
            }
        }
        pool.shutdownNow();
    }
}
