package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpctls "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// text is a message.
type text = wrapperspb.StringValue

// grpcService answers: /t.T/Say back, or with the error that it is told, or
// with the time that the call has; and /t.T/Talk every message of a stream.
func grpcService(waiting chan<- struct{}, cancelled chan<- error) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "t.T", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(text)
			if err := decode(in); err != nil {
				return nil, err
			}
			md, _ := metadata.FromIncomingContext(ctx)
			_ = grpc.SetHeader(ctx, metadata.Pairs("x-head", strings.Join(md["x-asked"], ",")))
			_ = grpc.SetTrailer(ctx, metadata.Pairs("x-tail", "behind"))
			switch in.Value {
			case "fail":
				return nil, status.Error(codes.FailedPrecondition, "not now: 100%")
			case "until":
				end, _ := ctx.Deadline()
				in.Value = time.Until(end).String()
			case "wait":
				waiting <- struct{}{}
				<-ctx.Done()
				cancelled <- ctx.Err()
				return nil, ctx.Err()
			}
			return in, nil
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Talk", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			for {
				in := new(text)
				if err := s.RecvMsg(in); err != nil {
					if err == io.EOF {
						s.SetTrailer(metadata.Pairs("x-tail", "behind"))
						return nil
					}
					cancelled <- err
					return err
				}
				if err := s.SendMsg(in); err != nil {
					return err
				}
			}
		}}},
	}
}

// TestGRPC: calls of every kind go through, with their metadata, trailers,
// statuses, deadlines and cancellations, over h2c and h2 back ends.
func TestGRPC(t *testing.T) {
	for _, protocol := range []string{"h2c", "h2"} {
		t.Run(protocol, func(t *testing.T) { testGRPC(t, protocol) })
	}
}

func testGRPC(t *testing.T, protocol string) {
	a, dir := secureSite(t)
	a.issue(t, dir, "back", false, "back.test")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var options []grpc.ServerOption
	extra := ""
	if protocol == "h2" {
		pair, err := tls.LoadX509KeyPair(dir+"/back.pem", dir+"/back.key")
		if err != nil {
			t.Fatal(err)
		}
		options = append(options, grpc.Creds(grpctls.NewServerTLSFromCert(&pair)))
		extra = "tls = { verify = false }"
	}
	back := grpc.NewServer(options...)
	cancelled := make(chan error, 10)
	waiting := make(chan struct{}, 1)
	back.RegisterService(grpcService(waiting, cancelled), nil)
	go back.Serve(l)
	t.Cleanup(back.Stop)

	s := launch(t, parse(t, dir, fmt.Sprintf(`
[[site]]
listen = ["127.0.0.1:0"]
tls = { certificate = "{dir}/one.pem", key = "{dir}/one.key", http3 = false }
[[site.route]]
upstream = "grpc"
[upstream.grpc]
protocol = %q
servers = [%q]
%s
`, protocol, l.Addr(), extra)), newFakeApps())
	conn, err := grpc.NewClient("passthrough:///"+s.hostPort("127.0.0.1:0"), grpc.WithTransportCredentials(grpctls.NewTLS(&tls.Config{RootCAs: a.roots, ServerName: "one.test"})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()

	var head, tail metadata.MD
	for _, value := range []string{"hello", "", strings.Repeat("x", 3<<20)} {
		out := new(text)
		asking := metadata.AppendToOutgoingContext(ctx, "x-asked", "yes")
		if err := conn.Invoke(asking, "/t.T/Say", &text{Value: value}, out, grpc.Header(&head), grpc.Trailer(&tail)); err != nil || out.Value != value {
			t.Fatalf("a call with %d bytes: %d bytes, %v", len(value), len(out.Value), err)
		}
		if head["x-head"][0] != "yes" || tail["x-tail"][0] != "behind" {
			t.Errorf("metadata %v and %v", head, tail)
		}
	}
	err = conn.Invoke(ctx, "/t.T/Say", &text{Value: "fail"}, new(text), grpc.Trailer(&tail))
	if st, _ := status.FromError(err); st.Code() != codes.FailedPrecondition || st.Message() != "not now: 100%" || tail["x-tail"][0] != "behind" {
		t.Errorf("a failure: %v %v", err, tail)
	}
	err = conn.Invoke(ctx, "/t.T/None", &text{}, new(text)) // an answer of trailers alone
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that is not there: %v", err)
	}

	// The back end knows of the deadline. Whose clock ends the call is a race
	// of the two, so the client ends one that has none.
	out := new(text)
	if err := conn.Invoke(ctx, "/t.T/Say", &text{Value: "until"}, out); err != nil {
		t.Errorf("a deadline: %v", err)
	}
	if left, err := time.ParseDuration(out.Value); err != nil || left <= 0 || left > 60*time.Second {
		t.Errorf("a deadline in 60s is one in %s", out.Value)
	}
	calling, hangUp := context.WithCancel(t.Context())
	called := make(chan error, 1)
	go func() { called <- conn.Invoke(calling, "/t.T/Say", &text{Value: "wait"}, new(text)) }()
	<-waiting
	hangUp()
	if err := <-called; status.Code(err) != codes.Canceled {
		t.Errorf("a call that was given up: %v", err)
	}
	if err := <-cancelled; err == nil {
		t.Error("the back end was not told that the call was given up")
	}
	leaving, leave := context.WithCancel(ctx)
	stream, err := conn.NewStream(leaving, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/t.T/Talk")
	if err != nil {
		t.Fatal(err)
	}
	say := func(s grpc.ClientStream, value string) {
		t.Helper()
		out := new(text)
		if err := s.SendMsg(&text{Value: value}); err != nil {
			t.Fatal(err)
		}
		if err := s.RecvMsg(out); err != nil || out.Value != value {
			t.Fatalf("%q: %q, %v", value, out.Value, err)
		}
	}
	say(stream, "one") // before the other side has said all
	leave()
	if err := <-cancelled; err == nil {
		t.Error("the back end was not told that the client has left")
	}

	stream, err = conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/t.T/Talk")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		say(stream, fmt.Sprint(i))
	}
	stream.CloseSend()
	if err := stream.RecvMsg(new(text)); err != io.EOF || stream.Trailer()["x-tail"][0] != "behind" {
		t.Errorf("the end: %v, %v", err, stream.Trailer())
	}
	if s.log.String() != "" && strings.Contains(s.log.String(), "level=ERROR") {
		t.Errorf("the log has\n%s", s.log)
	}
	back.Stop()
	if err := conn.Invoke(ctx, "/t.T/Say", &text{}, new(text)); status.Code(err) != codes.Unavailable {
		t.Errorf("without a back end: %v", err)
	}
}
