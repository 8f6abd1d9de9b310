// Package m2device has the programs between Mongrel2 and its handlers that m2wsgi called devices: the dispatcher, which
// gives requests to whoever has least to do, pull2xreq, its predecessor, and response, which answers all of them alike.
//
// Who decides is in values without sockets, threads or clock (dispatcher.go, pull2xreq.go), under one lock; what they
// say is to be sent goes to an interface. run.go ties them to internal/zeromq, command.go to the command line.
package m2device
