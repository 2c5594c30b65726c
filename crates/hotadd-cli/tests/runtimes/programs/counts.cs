// What Mono or .NET sees when it starts, once its mask has grown, and when it was told.
using System;
using System.IO;
using System.Threading;

public class Counts
{
    static string Mask()
    {
        foreach (var line in File.ReadAllLines("/proc/self/status"))
            if (line.StartsWith("Cpus_allowed_list:"))
                return line;
        return null;
    }

    static void Say(string word)
    {
        int workers, ports;
        ThreadPool.GetMinThreads(out workers, out ports);
        Console.WriteLine(word + " ProcessorCount=" + Environment.ProcessorCount + " minThreads=" + workers);
    }

    public static void Main()
    {
        // Before it says that it has started: from then on a processor may join.
        var began = Mask();
        Say("start");
        while (Mask() == began)
            Thread.Sleep(10);
        Say("joined");
        int workers, ports;
        ThreadPool.GetMinThreads(out workers, out ports);
        ThreadPool.SetMinThreads(2, ports);
        Say("told");
    }
}
