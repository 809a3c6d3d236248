// What TestJava runs, in the single-file mode (the compiler runs in the same process): direct buffers,
// threads, zip streams and class loading, all of which allocate outside the Java heap.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import java.util.zip.Inflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import java.util.zip.ZipOutputStream;

public class Main {
    static void check(boolean condition, String what) {
        if (!condition) throw new AssertionError(what);
    }

    static long directBuffers(int seed) {
        Random random = new Random(seed);
        List<ByteBuffer> kept = new ArrayList<>();
        long sum = 0;
        for (int i = 0; i < 800; i++) {
            int size = 8 + random.nextInt(1 << (4 + i % 14));
            ByteBuffer b = ByteBuffer.allocateDirect(size).order(ByteOrder.LITTLE_ENDIAN);
            for (int k = 0; k + 8 <= size; k += 8) b.putLong(k, (long) seed << 32 | i);
            if (i % 5 == 0) kept.add(b);
            check(b.getLong(0) == ((long) seed << 32 | i), "a fresh buffer");
        }
        for (int i = 0; i < kept.size(); i++) {
            ByteBuffer b = kept.get(i);
            long last = b.getLong((b.capacity() - 8) / 8 * 8);
            check(last == ((long) seed << 32 | i * 5L), "a kept buffer");
            sum += last & 0xffff;
        }
        return sum;
    }

    static byte[] data(int seed, int size) {
        byte[] d = new byte[size];
        for (int i = 0; i < size; i++) d[i] = (byte) ((i * 31 + seed) % 251 ^ i >> 10);
        return d;
    }

    static long zip(int seed) throws Exception {
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (ZipOutputStream out = new ZipOutputStream(packed)) {
            for (int i = 0; i < 40; i++) {
                out.setLevel(1 + i % 9);
                out.putNextEntry(new ZipEntry("entry" + i));
                out.write(data(seed + i, i * 1777));
            }
        }
        long total = 0;
        try (ZipInputStream in = new ZipInputStream(new ByteArrayInputStream(packed.toByteArray()))) {
            for (int i = 0; in.getNextEntry() != null; i++) {
                byte[] back = in.readAllBytes();
                CRC32 a = new CRC32(), b = new CRC32();
                a.update(back);
                b.update(data(seed + i, i * 1777));
                check(a.getValue() == b.getValue(), "zip entry " + i);
                total += back.length;
            }
        }
        for (int i = 0; i < 50; i++) { // native zlib states, ended by hand and left to the cleaner
            Deflater d = new Deflater(6, true);
            Inflater n = new Inflater(true);
            byte[] in = data(i, 20000), mid = new byte[30000], out = new byte[20000];
            d.setInput(in);
            d.finish();
            n.setInput(mid, 0, d.deflate(mid));
            check(n.inflate(out) == 20000 && java.util.Arrays.equals(in, out), "deflate");
            if (i % 2 == 0) {
                d.end();
                n.end();
            }
        }
        return total;
    }

    static long files(Path dir) throws Exception {
        long total = 0;
        for (int i = 0; i < 20; i++) {
            Path file = dir.resolve("file" + i);
            byte[] d = data(i, 200_000);
            try (FileChannel c = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.READ)) {
                c.write(ByteBuffer.wrap(d)); // through a temporary direct buffer
                ByteBuffer map = c.map(FileChannel.MapMode.READ_ONLY, 0, c.size());
                byte[] back = new byte[map.remaining()];
                map.get(back);
                check(java.util.Arrays.equals(d, back), "file");
                total += back.length;
            }
            Files.delete(file);
        }
        return total;
    }

    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(16);
        List<Future<Long>> buffers = new ArrayList<>(), zips = new ArrayList<>();
        for (int i = 0; i < 32; i++) {
            int seed = i;
            buffers.add(pool.submit(() -> directBuffers(seed)));
            zips.add(pool.submit(() -> zip(seed)));
        }
        long sum = 0, zipped = 0;
        for (Future<Long> f : buffers) sum += f.get();
        for (Future<Long> f : zips) zipped += f.get();
        pool.shutdown();
        System.out.println("buffers " + sum + " zip " + zipped);

        AtomicLong ran = new AtomicLong();
        for (int round = 0; round < 5; round++) {
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 100; i++) {
                Thread t = new Thread(null, () -> ran.addAndGet(ByteBuffer.allocateDirect(1000).capacity()), "t" + i, 256 << 10);
                t.start();
                threads.add(t);
            }
            for (Thread t : threads) t.join();
        }
        System.out.println("threads " + ran.get());

        ConcurrentHashMap<String, Integer> words = new ConcurrentHashMap<>();
        Pattern word = Pattern.compile("\\w+");
        IntStream.range(0, 20000).parallel().forEach(i ->
            word.matcher("w" + i % 100 + " x" + i % 7 + " é").results().forEach(m -> words.merge(m.group(), 1, Integer::sum)));
        System.out.println("words " + words.size() + " " + words.get("w42") + " " + words.get("x3"));

        System.out.println("files " + files(Path.of(System.getProperty("java.io.tmpdir"))));
        System.gc();
        System.out.println("done " + directBuffers(7));
    }
}
