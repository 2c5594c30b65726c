// An agent in Go: agrees to every processor except those of -refuse.
//
//	go mod init agent && go get github.com/godbus/dbus/v5
//	go run agent.go [--refuse LIST] NAME
//
// NAME is the name of a running partition: `hotadd run --name NAME ...`.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// The interfaces, which dbus/ describes in full.
const (
	partition     = "org.hotadd.Partition1"
	partitionPath = dbus.ObjectPath("/org/hotadd/Partition")
	agent         = "org.hotadd.Agent1"
	ours          = dbus.ObjectPath("/example/Agent")
	removal       = 2 // flag of Register: notify the agent of removals too
	// STATUS_INSUFFICIENT_RESOURCES: an error's name may carry the status of a veto.
	refuse = "org.hotadd.Error.Status.xC000009A"
)

type processor struct {
	Index  uint32
	Group  uint16
	Number byte
	Cpu    uint32
}

type details map[string]dbus.Variant

// Agent has a method for each call of the partition. The library calls each on a goroutine of its own.
type Agent struct {
	refused map[uint32]bool
	lock    sync.Mutex
	blocks  map[uint32][]byte
}

// AddStart prepares for a processor, or refuses it. It may take up to 5 s.
func (a *Agent) AddStart(party uint64, p processor, epoch uint64, _ details) *dbus.Error {
	if a.refused[p.Cpu] {
		fmt.Printf("AddStart %d: refused\n", p.Cpu)
		return dbus.NewError(refuse, []interface{}{fmt.Sprintf("there is no room for processor %d", p.Cpu)})
	}
	a.lock.Lock()
	defer a.lock.Unlock()
	a.blocks[p.Cpu] = make([]byte, 4096)
	return said("AddStart", p, epoch)
}

// AddComplete says that the processor has joined.
func (a *Agent) AddComplete(party uint64, p processor, epoch uint64, _ details) *dbus.Error {
	return said("AddComplete", p, epoch)
}

// AddFailure undoes AddStart.
func (a *Agent) AddFailure(party uint64, p processor, epoch uint64, _ details) *dbus.Error {
	return a.drop("AddFailure", p, epoch)
}

// RemoveStart may refuse the removal in the same way as AddStart.
func (a *Agent) RemoveStart(party uint64, p processor, epoch uint64, _ details) *dbus.Error {
	return said("RemoveStart", p, epoch)
}

// RemoveComplete says that the processor has left.
func (a *Agent) RemoveComplete(party uint64, p processor, epoch uint64, _ details) *dbus.Error {
	return a.drop("RemoveComplete", p, epoch)
}

// RemoveFailure says that the processor stays.
func (a *Agent) RemoveFailure(party uint64, p processor, epoch uint64, _ details) *dbus.Error {
	return said("RemoveFailure", p, epoch)
}

// Deregistered comes when the agent did not answer in time. No reply is expected.
func (a *Agent) Deregistered(party uint64, status uint32, reason string) *dbus.Error {
	fmt.Println("deregistered:", reason)
	return nil
}

func (a *Agent) drop(state string, p processor, epoch uint64) *dbus.Error {
	a.lock.Lock()
	defer a.lock.Unlock()
	delete(a.blocks, p.Cpu)
	return said(state, p, epoch)
}

func said(state string, p processor, epoch uint64) *dbus.Error {
	fmt.Printf("%s %d at epoch %d\n", state, p.Cpu, epoch)
	return nil
}

// socketOf returns the partition's socket, if only root and this user can have put it there.
func socketOf(name string) string {
	base := os.Getenv("XDG_RUNTIME_DIR")
	if base == "" {
		base = fmt.Sprintf("/run/user/%d", os.Getuid())
	}
	for _, folder := range []string{filepath.Join(base, "hotadd"), "/run/hotadd"} {
		path := filepath.Join(folder, name)
		var above, found syscall.Stat_t
		if syscall.Lstat(path, &found) != nil || syscall.Lstat(folder, &above) != nil {
			continue
		}
		isOurs := func(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }
		if !isOurs(found.Uid) || !isOurs(above.Uid) || above.Mode&0o022 != 0 {
			log.Fatalf("the socket %s is not trusted: another user may have put it there", path)
		}
		return path
	}
	log.Fatalf("there is no partition %s", name)
	return ""
}

// cpulist reads a list such as 1,4-6.
func cpulist(text string) (map[uint32]bool, error) {
	ids := map[uint32]bool{}
	for _, part := range strings.Split(text, ",") {
		ends := strings.SplitN(part, "-", 2)
		first, err := strconv.ParseUint(ends[0], 10, 16)
		if err != nil {
			return nil, err
		}
		last, err := strconv.ParseUint(ends[len(ends)-1], 10, 16)
		if err != nil {
			return nil, err
		}
		for id := first; id <= last; id++ {
			ids[uint32(id)] = true
		}
	}
	return ids, nil
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("agent.go: ")
	us := &Agent{refused: map[uint32]bool{}, blocks: map[uint32][]byte{}}
	flag.Func("refuse", "the processors to refuse, such as 1,4-6", func(text string) (err error) {
		us.refused, err = cpulist(text)
		return err
	})
	// Go's flags come before the name; the name may come first, too.
	args := os.Args[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		args = append(args[1:], args[0])
	}
	flag.CommandLine.Parse(args)
	if flag.NArg() != 1 {
		log.Fatal("usage: agent.go NAME [--refuse LIST]")
	}

	bus, err := dbus.Connect("unix:path=" + socketOf(flag.Arg(0)))
	if err != nil {
		log.Fatal(err)
	}
	// The partition calls the agent during Register, so the agent is exported first.
	if err := bus.Export(us, ours, agent); err != nil {
		log.Fatal(err)
	}
	var party, epoch uint64
	register := bus.Object("", partitionPath)
	call := register.Call(partition+".Register", 0, ours, "agent.go", uint32(removal), int32(0), uint32(0))
	if err := call.Store(&party, &epoch); err != nil {
		log.Fatal("not registered: ", err)
	}
	fmt.Printf("registered as party %d at epoch %d\n", party, epoch)
	<-bus.Context().Done() // the partition has ended
}
