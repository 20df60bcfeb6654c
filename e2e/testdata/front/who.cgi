#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
echo "cgi $(id -u) $SCRIPT_NAME [$PATH_INFO] $HTTPS"
