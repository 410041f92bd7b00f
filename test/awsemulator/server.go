// Package awsemulator is the part of AWS that a registry of images needs, on loopback: ECR with its registry, IAM, STS,
// KMS, CloudFormation, Resource Groups Tagging. It speaks the real wire protocols, verifies signatures, enforces policies on the API and
// the registry alike, and can be made to fail. docs/emulator.md says what it does and what it does not.
package awsemulator

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"imagecache.dev/test/awsemulator/calls"
	"imagecache.dev/test/awsemulator/faults"
	"imagecache.dev/test/awsemulator/internal/cloudformation"
	"imagecache.dev/test/awsemulator/internal/ecr"
	"imagecache.dev/test/awsemulator/internal/iam"
	"imagecache.dev/test/awsemulator/internal/kms"
	"imagecache.dev/test/awsemulator/internal/registry"
	"imagecache.dev/test/awsemulator/internal/sts"
	"imagecache.dev/test/awsemulator/internal/tagging"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// Server is one running emulator: one account in one region. It is safe for concurrent use.
type Server struct {
	options  Options
	listener net.Listener
	http     *http.Server
	host     string

	directory *iam.Directory
	registry  *ecr.Registry
	pull      *registry.Handler
	services  map[string]service

	calls  calls.Log
	faults faults.Faults
	logMu  sync.Mutex

	served chan struct{}
}

// service is one AWS service by the name that it has in signatures and policies.
type service struct {
	name       string
	target     string // X-Amz-Target's first part; "" for the Query protocol
	namespace  string // of XML
	global     bool   // not tied to the region
	operations map[string]wire.Operation
}

// Start listens and serves until Close.
func Start(o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("start emulator: %w", err)
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("start emulator: %w", err)
	}
	s := &Server{options: o, listener: listener, host: o.AdvertiseHost, served: make(chan struct{})}
	if s.host == "" {
		s.host = listener.Addr().String()
	}
	s.directory = iam.New(iam.Settings{Account: o.AccountID, Clock: o.Clock, PolicyDelay: o.PolicyDelay, RoleDelay: o.IAMDelay})
	endpoint := s.URL()
	if o.AWSProxyEndpoint {
		endpoint = "https://" + o.AccountID + ".dkr.ecr." + o.Region + ".amazonaws.com"
	}
	keys := kms.New(kms.Settings{Account: o.AccountID, Region: o.Region, Clock: o.Clock, Binder: s.directory})
	s.registry = ecr.New(ecr.Settings{
		Keys:    keys,
		Account: o.AccountID, Region: o.Region, Host: s.host, URL: s.URL(), ProxyEndpoint: endpoint, Clock: o.Clock, Binder: s.directory, PolicyDelay: o.PolicyDelay,
		ConsistencyDelay: o.ConsistencyDelay, LifecycleEvery: o.LifecycleEvery, PasswordOutlivesSession: o.PasswordOutlivesSession,
	})
	s.pull = registry.New(s.registry)
	tokens := sts.New(s.directory, sts.Settings{RootMayAssumeRoles: o.RootMayAssumeRoles, PackedLimit: o.PackedPolicyLimit})
	stacks := cloudformation.New(cloudformation.Settings{
		Account: o.AccountID, Region: o.Region, Clock: o.Clock, Delay: o.StackDelay, IAM: s.directory.Operations(), ECR: s.registry.Operations(),
	})
	s.services = map[string]service{}
	for _, one := range []service{
		{name: "ecr", target: ecr.TargetPrefix, operations: s.registry.Operations()},
		{name: "kms", target: kms.TargetPrefix, operations: keys.Operations()},
		{name: "tagging", target: tagging.TargetPrefix, operations: tagging.New(s.registry).Operations()},
		{name: "iam", namespace: iam.Namespace, global: true, operations: s.directory.Operations()},
		{name: "sts", namespace: sts.Namespace, global: true, operations: tokens.Operations()},
		{name: "cloudformation", namespace: cloudformation.Namespace, operations: stacks.Operations()},
	} {
		s.services[one.name] = one
	}
	if o.AWSRates {
		for _, r := range publishedRates {
			s.faults.Limit(r)
		}
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 30 * time.Second, TLSConfig: o.TLS, ErrorLog: log.New(discard{}, "", 0)}
	go s.serve()
	return s, nil
}

// discard drops net/http's complaints about clients that went away.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (s *Server) serve() {
	defer close(s.served)
	var err error
	if s.options.TLS != nil {
		err = s.http.ServeTLS(s.listener, "", "")
	} else {
		err = s.http.Serve(s.listener)
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		s.logf("serve: %v", err)
	}
}

// URL is where all services and the registry answer.
func (s *Server) URL() string {
	if s.options.TLS != nil {
		return "https://" + s.host
	}
	return "http://" + s.host
}

// RegistryHost is the host of repository URIs.
func (s *Server) RegistryHost() string { return s.host }

// Region is the emulator's only region.
func (s *Server) Region() string { return s.options.Region }

// AccountID is the emulator's only account.
func (s *Server) AccountID() string { return s.options.AccountID }

// AccessKeyID is the root user's.
func (s *Server) AccessKeyID() string { return s.options.AccessKeyID }

// SecretAccessKey is the root user's.
func (s *Server) SecretAccessKey() string { return s.options.SecretAccessKey }

// Clock is the emulator's time.
func (s *Server) Clock() *Clock { return s.options.Clock }

// Calls is the log of all calls.
func (s *Server) Calls() *CallLog { return &s.calls }

// Faults is what goes wrong.
func (s *Server) Faults() *Faults { return &s.faults }

// IssuedPasswords is every registry password ever given out, for tests that look for them where they must not be.
func (s *Server) IssuedPasswords() []string { return s.registry.IssuedPasswords() }

// VanishLayers drops the layers that no image names, as ECR may at any time; of one repository, or of all with "".
func (s *Server) VanishLayers(repository string) int { return s.registry.VanishLayers(repository) }

// LoseLayer drops a layer though an image may name it, and says whether it was there.
func (s *Server) LoseLayer(repository, digest string) bool {
	return s.registry.LoseLayer(repository, digest)
}

// AgeImages moves the push times of a repository's images into the past ("" for all repositories), and says how many there are. Unlike
// moving the clock it ends no sessions.
func (s *Server) AgeImages(repository string, by time.Duration) int {
	return s.registry.AgeImages(repository, by)
}

// RunLifecycle applies all lifecycle policies now, and says how many images they expired.
func (s *Server) RunLifecycle() int { return s.registry.RunLifecycle() }

// ScanFinding is one vulnerability that a scan of an image finds.
type ScanFinding = ecr.Finding

// SetScanFindings makes what scans of images find, and says of how many images: of one repository, or of all with "", those that have the
// tag or digest, or all with "".
func (s *Server) SetScanFindings(repository, reference string, findings []ScanFinding) (int, error) {
	return s.registry.SetScanFindings(repository, reference, findings)
}

// Connect makes two emulators regions of one account, as far as ECR replicates images from one to the other: PutReplicationConfiguration
// then takes the other's region as a destination. Everything else of the two stays apart, roles too.
func (s *Server) Connect(other *Server) error {
	if s.options.AccountID != other.options.AccountID || s.options.Region == other.options.Region {
		return fmt.Errorf("connect emulators: %s in %s and %s in %s are not two regions of one account",
			s.options.AccountID, s.options.Region, other.options.AccountID, other.options.Region)
	}
	s.registry.Connect(other.registry)
	other.registry.Connect(s.registry)
	return nil
}

// grace is how long Close waits for requests in flight. A connection on which no request has come yet would hold it for five seconds.
const grace = 500 * time.Millisecond

// Close ends the emulator and removes what it keeps in files.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.served
	return errors.Join(err, s.registry.Close())
}

func (s *Server) logf(format string, args ...any) {
	if s.options.Log == nil {
		return
	}
	s.logMu.Lock()
	defer s.logMu.Unlock()
	_, _ = fmt.Fprintf(s.options.Log, format+"\n", args...)
}
