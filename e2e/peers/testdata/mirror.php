<?php
// The mirror of mirror.py, for PHP.
parse_str($_SERVER['QUERY_STRING'] ?? '', $query);
ini_set('zlib.output_compression', '0');
header_remove('X-Powered-By');

// PEP 3333's form of a string: its bytes as code points.
function latin(string $s): string {
    return preg_replace_callback('/[\x80-\xff]/', fn ($m) => chr(0xc0 | ord($m[0]) >> 6) . chr(0x80 | ord($m[0]) & 0x3f), $s);
}

function pattern(int $size): void {
    $line = '';
    for ($n = 0; $n < 8192; $n++) {
        $line .= sprintf("%07d\n", $n);
    }
    for (; $size > 0; $size -= strlen($line)) {
        echo substr($line, 0, $size);
    }
}

switch ($query['do'] ?? '') {
case 'status':
    http_response_code((int) $query['code']);
    header('X-Seen: ' . $_SERVER['REQUEST_METHOD']);
    if ($query['code'] != '204' && $query['code'] != '304') {
        echo "status\n";
    }
    exit;
case 'redirect':
    header('Location: ' . $query['to'], true, 302);
    exit;
case 'big':
    header('Content-Type: application/octet-stream');
    if (isset($query['length'])) {
        header('Content-Length: ' . $query['size']);
    }
    pattern((int) $query['size']);
    exit;
case 'headers':
    for ($n = 0; $n < 100; $n++) {
        header("X-H$n: v$n");
    }
    exit;
case 'stream':
    header('Content-Type: text/event-stream');
    echo "one\n";
    flush();
    echo file_get_contents($query['gate']);
    exit;
case 'endless':
    header('Content-Type: application/octet-stream');
    register_shutdown_function(fn () => file_put_contents($query['file'], 'closed'));
    while (true) {
        echo str_repeat('x', 65536);
        flush();
    }
case 'stderr':
    error_log('a word for the log');
    exit;
}
$body = file_get_contents('php://input');
$environ = [];
foreach ($_SERVER as $name => $value) {
    if (is_string($value)) {
        $environ[$name] = latin($value);
    }
}
header('Content-Type: application/json');
echo json_encode(['environ' => $environ, 'length' => strlen($body), 'sha256' => hash('sha256', $body)]);
