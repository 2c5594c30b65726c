// Whether a Go program learns that it may run on more processors. Prints "ready", and then "known NANOSECONDS" (the monotonic
// clock) when runtime.NumCPU or GOMAXPROCS has grown, or "never" after the time that the first argument gives. Go 1.25 documents
// that it updates GOMAXPROCS at most once a second.
package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	limit, err := time.ParseDuration(os.Args[1])
	if err != nil {
		panic(err)
	}
	before := runtime.GOMAXPROCS(0)
	cpus := runtime.NumCPU()
	fmt.Println("ready")
	for began := time.Now(); time.Since(began) < limit; time.Sleep(100 * time.Microsecond) {
		if runtime.GOMAXPROCS(0) > before || runtime.NumCPU() > cpus {
			var at syscall.Timespec
			// CLOCK_MONOTONIC, as the other programs use it.
			syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&at)), 0)
			fmt.Println("known", at.Nano())
			return
		}
	}
	fmt.Println("never")
}
