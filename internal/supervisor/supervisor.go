// Package supervisor runs programs that end with this process, whatever ends it: also SIGKILL.
//
// On Linux each program runs below a supervisor: this process's own executable, started again. The supervisor holds one
// end of a pipe. When the other end closes, with the context of the program or with this process, the supervisor ends
// the program and everything that the program started, also in other sessions and process groups.
package supervisor

import "time"

// stopGrace is how long processes have to end by themselves, between SIGTERM and SIGKILL.
const stopGrace = 5 * time.Second
