package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"

	"imagecache.dev/internal/aws"
)

// dayTakes is how long a run with --day may take: the wait for a lifecycle policy, and everything else.
const dayTakes = expiresWithin + time.Hour

// renewed are the sources of credentials that the SDK asks again by itself, without a person. A profile with role_arn may
// have a source that ends; the SDK does not show it.
var renewed = map[string]bool{
	ec2rolecreds.ProviderName: true, endpointcreds.ProviderName: true, processcreds.ProviderName: true,
	stscreds.ProviderName: true, stscreds.WebIdentityProviderName: true,
}

// expiration is the variable in which `aws configure export-credentials --format env` and others tell when the
// credentials of the other variables end.
const expiration = "AWS_CREDENTIAL_EXPIRATION"

// checkLifetime returns an error if a check that waits for a day would lose its credentials on the way: then nothing
// could remove what it made.
func (s *settings) checkLifetime(ctx context.Context, clients *aws.Clients, chosen []check) error {
	if !slices.ContainsFunc(chosen, func(c check) bool { return c.day }) {
		return nil
	}
	found, err := clients.ECR.Options().Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("find AWS credentials: %w", err)
	}
	return outlasts(found, os.Getenv(expiration), s.now())
}

// outlasts returns an error if credentials end, or may end, before a run with --day does. told is the value of the
// variable that expiration names.
func outlasts(found awssdk.Credentials, told string, now time.Time) error {
	const advice = "--day takes up to %d hours; use credentials that do not end, or that the SDK renews by itself: the role of an instance or a container, a web identity, or a profile with role_arn"
	if found.SessionToken == "" || renewed[found.Source] {
		return nil
	}
	ends := found.Expires
	if !found.CanExpire {
		var err error
		if ends, err = time.Parse(time.RFC3339, told); err != nil {
			return fmt.Errorf("the credentials (%s) are those of a session, which ends, and %s does not tell when; "+advice, found.Source, expiration, int(dayTakes.Hours()))
		}
	}
	if ends.Before(now.Add(dayTakes)) {
		return fmt.Errorf("the credentials (%s) end at %s; "+advice, found.Source, ends.UTC().Format(time.RFC3339), int(dayTakes.Hours()))
	}
	return nil
}
