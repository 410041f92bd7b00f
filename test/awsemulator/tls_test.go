package awsemulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"imagecache.dev/test/awsemulator"
)

func TestServesHTTPS(t *testing.T) {
	ctx := context.Background()
	model := httptest.NewUnstartedServer(nil) // for its certificate of 127.0.0.1
	model.StartTLS()
	defer model.Close()
	s := start(t, awsemulator.Options{TLS: &tls.Config{Certificates: model.TLS.Certificates, MinVersion: tls.VersionTLS12}, RootMayAssumeRoles: true})
	if !strings.HasPrefix(s.URL(), "https://") {
		t.Fatalf("URL %s", s.URL())
	}
	pool := x509.NewCertPool()
	pool.AddCert(model.Certificate())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	secure := func(c clients) clients {
		c.config.HTTPClient = client
		c.ecr, c.sts = ecr.NewFromConfig(c.config), sts.NewFromConfig(c.config)
		return c
	}
	c := secure(root(t, s))
	if _, err := c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	token, err := c.ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	if got := *token.AuthorizationData[0].ProxyEndpoint; got != s.URL() {
		t.Errorf("endpoint %s, want %s", got, s.URL())
	}
}

// What docker-credential-ecr-login insists on: https://github.com/awslabs/amazon-ecr-credential-helper
func TestProxyEndpointOfAWS(t *testing.T) {
	s := start(t, awsemulator.Options{AWSProxyEndpoint: true, Region: "eu-west-1"})
	out, err := root(t, s).ecr.GetAuthorizationToken(context.Background(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *out.AuthorizationData[0].ProxyEndpoint, "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"; got != want {
		t.Errorf("endpoint %s, want %s", got, want)
	}
}
