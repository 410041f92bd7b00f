package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"imagecache.dev/internal/buildinfo"
	"imagecache.dev/test/awsemulator"
)

func command() *cobra.Command {
	var o awsemulator.Options
	var frozen, cert, key string
	var verbose bool
	c := &cobra.Command{
		Use:   "aws-emulator",
		Short: "AWS on loopback: ECR with its registry, IAM, STS, CloudFormation, Resource Groups Tagging",
		Long: `aws-emulator answers as AWS does, on one port of the loopback interface, for one account in one region.
Once it is ready it prints one line, "listening on http://127.0.0.1:PORT", and serves until SIGTERM or SIGINT.

  AWS_ENDPOINT_URL=http://127.0.0.1:PORT AWS_REGION=us-east-1 \
  AWS_ACCESS_KEY_ID=AKIAEMULATOR00000000 AWS_SECRET_ACCESS_KEY=emulator-root-secret-key-for-tests-only \
  aws ecr create-repository --repository-name demo

http://127.0.0.1:PORT/_emulator/ steers faults, the clock and the log of calls.`,
		Version:       buildinfo.Text(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if frozen != "" {
				t, err := time.Parse(time.RFC3339, frozen)
				if err != nil {
					return fmt.Errorf("--frozen-clock: %w", err)
				}
				o.Clock = awsemulator.FrozenClock(t)
			}
			if (cert == "") != (key == "") {
				return errors.New("--tls-cert and --tls-key go together")
			}
			if cert != "" {
				pair, err := tls.LoadX509KeyPair(cert, key)
				if err != nil {
					return fmt.Errorf("load TLS certificate: %w", err)
				}
				o.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
			}
			if verbose {
				o.Log = cmd.ErrOrStderr()
			}
			return serve(cmd, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "address to listen on; port 0 takes a free one")
	f.BoolVar(
		&o.AllowNonLoopback, "allow-non-loopback", false,
		"allow other addresses than loopback: whoever reaches the port controls the emulator",
	)
	f.StringVar(&o.AdvertiseHost, "advertise-host", "", "host:port of repository URIs (default: the address listened on)")
	f.StringVar(&o.Region, "region", awsemulator.DefaultRegion, "the emulator's region")
	f.StringVar(&o.AccountID, "account", awsemulator.DefaultAccountID, "the emulator's account, 12 digits")
	f.StringVar(&o.AccessKeyID, "access-key-id", awsemulator.DefaultAccessKeyID, "access key ID of the root user")
	f.StringVar(
		&o.SecretAccessKey, "secret-access-key", awsemulator.DefaultSecretAccessKey, "secret access key of the root user",
	)
	f.StringVar(&cert, "tls-cert", "", "PEM file with a certificate: serve HTTPS")
	f.StringVar(&key, "tls-key", "", "PEM file with the certificate's key")
	f.StringVar(&frozen, "frozen-clock", "", "a clock that stands at this RFC 3339 time until it is moved over HTTP")
	f.BoolVar(&o.RootMayAssumeRoles, "root-may-assume-roles", false, "let root keys assume roles, which AWS refuses")
	f.BoolVar(
		&o.PasswordOutlivesSession, "password-outlives-session", false,
		"let a registry password work for its 12 hours though its session has run out",
	)
	f.DurationVar(&o.PolicyDelay, "policy-delay", 0, "how long changes of policies, tags and trust take to act")
	f.DurationVar(&o.IAMDelay, "iam-delay", 0, "how long a new role can be neither assumed nor named as a principal")
	f.DurationVar(&o.ConsistencyDelay, "consistency-delay", 0, "how long reads of ECR do not see what is new")
	f.DurationVar(
		&o.LifecycleEvery, "lifecycle-every", 24*time.Hour, "how often lifecycle policies run, by the emulator's clock",
	)
	f.DurationVar(&o.StackDelay, "stack-delay", 0, "how long CloudFormation works on a stack")
	f.IntVar(
		&o.PackedPolicyLimit, "packed-policy-limit", 0,
		"bytes, compressed, that session policies and tags may have together (default 800)",
	)
	f.BoolVar(
		&o.AWSProxyEndpoint, "aws-proxy-endpoint", false,
		"let GetAuthorizationToken name the account's host in AWS, not this address",
	)
	f.BoolVar(&o.AWSRates, "aws-rates", false, "throttle ECR at the rates that AWS publishes")
	f.BoolVarP(&verbose, "verbose", "v", false, "one line on stderr for each call")
	return c
}

func serve(cmd *cobra.Command, o awsemulator.Options) error {
	s, err := awsemulator.Start(o)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "listening on %s\n", s.URL()); err != nil {
		return errors.Join(err, s.Close())
	}
	<-cmd.Context().Done()
	return s.Close()
}
