// What Go sees when it starts, once its mask has grown, and when it was told.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

func mask() string {
	status, _ := os.ReadFile("/proc/self/status")
	_, list, _ := strings.Cut(string(status), "Cpus_allowed_list:\t")
	list, _, _ = strings.Cut(list, "\n")
	return list
}

func minor() int {
	minor := 0
	fmt.Sscanf(runtime.Version(), "go1.%d", &minor)
	return minor
}

func say(word string) {
	fmt.Printf("%s minor=%d NumCPU=%d GOMAXPROCS=%d\n", word, minor(), runtime.NumCPU(), runtime.GOMAXPROCS(0))
}

func main() {
	// Before it says that it has started: from then on a processor may join.
	began := mask()
	say("start")
	for mask() == began {
		time.Sleep(10 * time.Millisecond)
	}
	if minor() >= 25 {
		// It counts again at most once a second. If it never does, the test ends this.
		for runtime.GOMAXPROCS(0) == 1 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	say("joined")
	runtime.GOMAXPROCS(2)
	say("told")
}
