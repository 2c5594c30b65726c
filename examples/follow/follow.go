// A Go program that uses as many processors as the partition has: follow PAGE (docs/runtimes.md)
package main

import (
	"fmt"
	"log"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// follow sets GOMAXPROCS now, and after each change of the set, until the partition ends.
func follow(page []byte) {
	summary := (*uint64)(unsafe.Pointer(&page[16]))
	wait := (*uint32)(unsafe.Pointer(&page[24]))
	second := syscall.Timespec{Sec: 1} // so that it notices a partition that was killed
	size := 0
	for seen := uint32(0); seen&1 == 0; {
		seen = atomic.LoadUint32(wait)
		if count := int(atomic.LoadUint64(summary) & 0xffff); count != size {
			size = count
			runtime.GOMAXPROCS(count)
			fmt.Println("workers", count)
		}
		syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(wait)), 0, // FUTEX_WAIT
			uintptr(seen), uintptr(unsafe.Pointer(&second)), 0, 0)
	}
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	page, err := syscall.Mmap(int(file.Fd()), 0, 25216, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		log.Fatal(err)
	}
	if string(page[:8]) != "hotadd\x00\x00" || *(*uint32)(unsafe.Pointer(&page[8])) != 1 {
		log.Fatalf("%s is not a page of version 1", os.Args[1])
	}
	for i := 0; i < 8; i++ {
		go func() {
			for {
			}
		}()
	}
	follow(page)
}
