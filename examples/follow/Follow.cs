// A program that uses as many threads as the partition has processors: Follow.exe PAGE (docs/runtimes.md)
using System;
using System.IO;
using System.IO.MemoryMappedFiles;
using System.Threading;
using System.Threading.Tasks;

public class Follow
{
    static void Work(int number)
    {
        Thread.SpinWait(100000);
    }

    public static int Main(string[] args)
    {
        var file = MemoryMappedFile.CreateFromFile(
            new FileStream(args[0], FileMode.Open, FileAccess.Read, FileShare.ReadWrite), null, 25216,
            MemoryMappedFileAccess.Read, HandleInheritability.None, false);
        var page = file.CreateViewAccessor(0, 25216, MemoryMappedFileAccess.Read);
        // The letters "hotadd" and two zeros.
        if (page.ReadInt64(0) != 0x646461746f68 || page.ReadInt32(8) != 1)
        {
            Console.Error.WriteLine(args[0] + " is not a page of version 1");
            return 1;
        }
        int workers, ports, size = 0;
        ThreadPool.GetMinThreads(out workers, out ports);
        while ((page.ReadInt32(24) & 1) == 0)
        {
            int count = (int)(page.ReadInt64(16) & 0xffff);
            if (count != size)
            {
                ThreadPool.SetMinThreads(count, ports);
                size = count;
                Console.WriteLine("workers " + size);
            }
            Parallel.For(0, 64, new ParallelOptions { MaxDegreeOfParallelism = size }, Work);
        }
        return 0;
    }
}
